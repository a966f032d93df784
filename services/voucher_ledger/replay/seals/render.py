"""What the seals told, as people read it."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voucher_ledger.core.wording import counted
from voucher_ledger.replay.seals.chain import Head
from voucher_ledger.replay.seals.match import EVENTS, LETTERS
from voucher_ledger.replay.seals.report import Fault, SealsReport


def show(report: SealsReport, console: Console) -> None:
    """Print a table of what was proven, and below it what is wrong."""
    table = Table(title=f"Seals and topics, {report.duration_seconds:.1f} s", title_justify="left")
    for heading in ("what", "count"):
        table.add_column(heading, justify="left" if heading == "what" else "right", no_wrap=True)
    table.add_row("seals, each the digest of its batch and of the one before", f"{report.seals:,}")
    for kind in (EVENTS, LETTERS):
        table.add_row(f"{kind} as they were sealed", f"{report.verified[kind]:,}")
    for told, counts in (
        ("by their own 32-bit checks only: their batch is not whole", +report.verified_by_checks),
        ("deleted from the topic: not to be verified", report.deleted),
    ):
        for kind, count in counts.items():
            table.add_row(f"{kind} {told}", f"{count:,}")
    if report.unsealed:
        table.add_row("events and dead letters from before the chain: not sealed", f"{report.unsealed:,}")
    if report.heads_kept:
        table.add_row(f"kept heads, of {report.heads_kept:,}, found on the chain", f"{report.heads_found:,}")
    for fault in Fault:
        count = report.counts[fault]
        table.add_row(str(fault), f"[red]{count:,}[/]" if count else "0")
    console.print(table)
    for fault in Fault:
        for text in report.shown.get(fault, ()):
            console.print(f"  {escape(text)}", soft_wrap=True, highlight=False)
    for note in report.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True, highlight=False)
    if report.beyond:
        console.print(f"note: {counted(report.beyond, 'record')} decided since: not looked at", highlight=False)
    console.print("[green]as sealed[/]" if report.passed else "[red]not as sealed[/]")
    console.print("rows of the ledger are not sealed: `voucher-ledger replay verify` compares them", highlight=False)


def show_heads(heads: list[Head], fingerprint: str, console: Console) -> None:
    """Print the end of each chain, and the one line that tells all of them."""
    table = Table(title="The ends of the chains", title_justify="left")
    for heading in ("partition", "seal", "up to offset", "SHA-256"):
        justify = "right" if heading in {"seal", "up to offset"} else "left"
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for head in heads:
        table.add_row(f"{head.topic}/{head.partition}", str(head.number), str(head.next_offset), head.seal.hex())
    console.print(table)
    console.print(f"fingerprint of all of them: {fingerprint}", soft_wrap=True, highlight=False)

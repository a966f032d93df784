"""A verification as people read it."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voucher_ledger.core.wording import counted
from voucher_ledger.replay.verify_report import Kind, VerifyReport

# What nobody is told, he takes for proven.
_NOT_COMPARED = "transfers and the counts of limits are told by no event, and are proven by the audit"


def show(report: VerifyReport, console: Console) -> None:
    """Print a table of what was compared, and below it what is wrong."""
    answers = report.answers
    table = Table(title=f"Topics and ledger, {report.duration_seconds:.1f} s", title_justify="left")
    for heading in ("what", "compared", "wrong"):
        table.add_column(heading, justify="left" if heading == "what" else "right", no_wrap=True)
    answered = answers.answered.total()
    _add(table, "commands answered exactly once", answered + answers.unanswered.total(), answers.fault_count)
    _add(table, "events that agree with each other", report.events_read, report.contradiction_count)
    for name, kind in report.kinds.items():
        _add(table, f"ledger: {name}", kind.compared, kind.count)
    console.print(table)
    show_faults(report, console)
    for note in report.notes:
        console.print(f"note: {escape(note)}", soft_wrap=True, highlight=False)
    if undecided := report.undecided.total():
        came = f"{counted(undecided, 'command')} came after the positions: not looked at"
        console.print(f"note: {came}", highlight=False)
    console.print("[green]equal[/]" if report.passed else "[red]not equal[/]")
    console.print(f"{_NOT_COMPARED} (`voucher-ledger audit`)", highlight=False)


def show_faults(report: VerifyReport, console: Console) -> None:
    """Print what is wrong, a line each."""
    for fault in (*report.answers.faults, *report.contradictions):
        console.print(f"  {escape(fault)}", soft_wrap=True, highlight=False)
    for name, kind in report.kinds.items():
        _show_kind(name, kind, console)


def _add(table: Table, what: str, compared: int, wrong: int) -> None:
    table.add_row(what, f"{compared:,}", f"[red]{wrong:,}[/]" if wrong else "0")


def _show_kind(name: str, kind: Kind, console: Console) -> None:
    for difference in kind.shown:
        columns = "; ".join(
            f"{column}: events {_shown(events)}, ledger {_shown(ledger)}"
            for column, (events, ledger) in difference.columns.items()
        )
        text = f"  {name} {difference.key}: {difference.problem}{': ' if columns else ''}{columns}"
        console.print(escape(text), soft_wrap=True, highlight=False)
    if kind.count > len(kind.shown):
        console.print(f"  and {kind.count - len(kind.shown):,} more of {name}", highlight=False)


def _shown(value: object) -> str:
    return "-" if value in (None, "") else str(value)

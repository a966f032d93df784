"""What `voucher-ledger replay operations` does."""

from dataclasses import asdict

import orjson
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from voucher_ledger.replay.operations import Entry, latest
from voucher_ledger.replay.printing import console
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.settings import Settings


def run(settings: Settings, *, count_max: int, json: bool) -> int:
    """Print the last `count_max` operations. Raises Unreachable, NotSetUp."""
    entries = latest(settings, count_max)
    if json:
        for entry in entries:
            print(orjson.dumps(asdict(entry)).decode())
        return ExitCode.DONE
    console().print(_table(entries))
    return ExitCode.DONE


def _table(entries: list[Entry]) -> Table:
    table = Table(box=SIMPLE, padding=(0, 1))
    for name in ("started", "verb", "who", "why", "outcome", "result"):
        table.add_column(name, overflow="fold")
    for entry in entries:
        table.add_row(
            f"{entry.started_at:%Y-%m-%d %H:%M:%S}", escape(entry.verb), escape(f"{entry.actor} ({entry.login})"),
            escape(entry.reason), entry.outcome, escape(orjson.dumps(entry.result).decode()),
        )  # fmt: skip
    return table

"""What `voucher-ledger replay rebuild` does."""

import sys
from pathlib import Path
from threading import Event
from typing import Any

import orjson
import psycopg
from rich.console import Console
from rich.table import Table

from voucher_ledger.core.wording import counted
from voucher_ledger.replay.bar import Bar
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.rebuild import RebuildReport, rebuild
from voucher_ledger.replay.table_hash import table_hashes
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import migrations, postgres
from voucher_ledger.runtime.errors import Unreachable, without_tables
from voucher_ledger.runtime.settings import Settings

HASH_MINUTES_MAX = 60


def run(
    settings: Settings,
    target: str,
    *,
    apply: bool,
    compare: bool,
    json: bool,
    spill_directory: Path | None,
    reason: str | None,
    arguments: dict[str, Any],
    rate: float | None = None,
) -> int:
    """Rebuild the ledger into the database at the DSN `target`, and print what was written. With `compare`, hash the
    tables of the ledger of the settings too.

    Returns:
        0 done; 1 a hash differs from the other ledger's. Raises Refused where nothing was written, Unread, NotSetUp,
        Unreachable where Postgres stops answering meanwhile.
    """
    try:
        if compare:
            _refuse_another_version(settings.postgres)
        with Bar("reading the topics", None) as bar:
            report = rebuild(
                settings, target, Event(), apply=apply, spill_directory=spill_directory,
                progress=bar, rate=rate, reason=reason, arguments=arguments,
            )  # fmt: skip
    except psycopg.IntegrityError as error:
        raise Refused(f"the events break a rule of the ledger, so nothing was written: {error}") from error
    except psycopg.OperationalError as error:
        raise Unreachable(f"Postgres does not answer: {str(error).strip()}") from error
    original = _hashes_of(settings.postgres) if compare else report.hashes
    if json:
        sys.stdout.write(_json(report, original) + "\n")
    else:
        _show(report, original, Console() if sys.stdout.isatty() else Console(width=120), compared=compare)
    return ExitCode.DONE if report.hashes == original else ExitCode.CHECK_FAILED


def _refuse_another_version(dsn: str) -> None:
    """A column that one of the two ledgers lacks would make every hash of its table another."""
    with postgres.connect(dsn, application="rebuild") as connection:
        try:
            rows = connection.execute("SELECT name FROM public.voucher_ledger_migration").fetchall()
        except psycopg.ProgrammingError as error:
            raise without_tables(error) from error
    if {name for (name,) in rows} != {path.name for path in migrations.files()}:
        raise Refused("the ledger to compare with is of another version: run `voucher-ledger migrate` on it first")


def _hashes_of(dsn: str) -> dict[str, str]:
    with postgres.connect(dsn, application="rebuild") as connection, connection.transaction():
        connection.execute(f"SET LOCAL statement_timeout = '{HASH_MINUTES_MAX}min'".encode())
        return table_hashes(connection)


def _json(report: RebuildReport, original: dict[str, str]) -> str:
    return orjson.dumps(
        {
            "applied": report.applied,
            "positions": {f"{topic}/{partition}": end for (topic, partition), end in report.positions.items()},
            "rows": report.rows,
            "booked_as_loss": report.losses,
            "hashes": report.hashes,
            "original_hashes": original,
        }
    ).decode()


def _show(report: RebuildReport, original: dict[str, str], console: Console, *, compared: bool) -> None:
    table = Table(title="rebuilt" if report.applied else "would be rebuilt", title_justify="left")
    table.add_column("table")
    table.add_column("rows", justify="right")
    table.add_column("rows:hash")
    for name in {**report.rows, **report.hashes}:
        table.add_row(name, f"{report.rows[name]:,}" if name in report.rows else "", report.hashes.get(name, ""))
    console.print(table)
    for campaign_id, count in report.losses.items():
        console.print(f"{campaign_id}: {counted(count, 'grant')} booked as loss", highlight=False)
    for name in report.hashes:
        if report.hashes[name] != original[name]:
            console.print(f"[red]{name}[/]: the original ledger has {original[name]}", highlight=False)
    if not report.applied:
        console.print("nothing was written: this was a dry run, see --apply")
        return
    if report.hashes != original:
        console.print("NOT equal to the original ledger: the tables named above differ", style="red")
    elif compared:
        console.print(
            f"equal: all {len(original)} tables that are hashed have the original ledger's hash", highlight=False
        )
    console.print("audit passed; now set VOUCHER_LEDGER_POSTGRES to it, prove it by `voucher-ledger replay verify`,")
    console.print("and start the processors")

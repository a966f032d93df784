"""The database that a ledger is rebuilt into: empty, and with a journal that tells of the rebuild from the start."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.operations import Operation, recorded_in
from voucher_ledger.runtime import migrations, postgres

_TABLES = (
    "campaign", "campaign_command", "account", "category_budget", "voucher", "reservation", "payment", "refund",
    "transfer", "position", "outbox", "seal", "waiting_line", "waiting_place", "limit_count",
)  # fmt: skip


@contextmanager
def begun(target: str, reason: str | None, arguments: Mapping[str, Any]) -> Iterator[Operation]:
    """Migrate the empty database at the DSN `target`, and note in its journal that a rebuild begins: what reads for
    hours and is then refused or killed has left its start there. That it is done is the body's to write (`finish`).

    Raises Refused where it is not empty; it is not changed then. ReasonMissing, Unreachable, NotSetUp.
    """
    with postgres.connect(target, application="rebuild") as connection:
        refuse_unless_empty(connection)  # before it is changed: it may be a ledger, of an earlier version and at work
        migrations.migrate(connection)
    with recorded_in(target, "rebuild", reason, arguments) as operation:
        yield operation


def refuse_unless_empty(connection: psycopg.Connection) -> None:
    """Of the tables that there are: an empty database has none yet."""
    for table in _TABLES:
        if connection.execute("SELECT to_regclass(%s)", (f"books.{table}",)).fetchone() == (None,):
            continue
        if connection.execute(f"SELECT 1 FROM books.{table} LIMIT 1".encode()).fetchone() is not None:  # noqa: S608
            raise Refused(f"books.{table} has rows: a ledger is rebuilt into an empty database only")


def analyze(connection: psycopg.Connection) -> None:
    """Count what the caller's transaction has written, before whole tables of it are read.

    Where a rebuild was killed its rows bring autovacuum in during the next one. It counts what is committed, which is
    none, and for tables without rows the planner joins each row with each: the audit took many minutes. From here to
    the transaction's end no vacuum can come in between. Whoever migrated the tables may do it, and `begun` has; of
    another's tables Postgres leaves it out with a warning.
    """
    connection.execute(f"ANALYZE {', '.join(f'books.{table}' for table in _TABLES)}".encode())

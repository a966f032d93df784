"""The numbered SQL files under schemas/postgres, applied once each and in order, under an advisory lock."""

import hashlib
from contextlib import ExitStack
from pathlib import Path

import psycopg

from voucher_ledger.core.schema_files import schema_root
from voucher_ledger.runtime.errors import NotSetUp, Unreachable
from voucher_ledger.runtime.postgres import locked

# A migration that waits for a table's lock makes all that comes after it wait too, so it gives way soon.
LOCK_SECONDS_MAX = 10.0
# Its work itself has no bound: to rewrite a table of a whole campaign takes as long as it takes, and cut off it would
# be rolled back, to begin anew at the next try and be cut off again.
_BOUNDS = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = {milliseconds}"

_HISTORY = """
CREATE TABLE IF NOT EXISTS public.voucher_ledger_migration (
    name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"""


class MigrationChanged(Exception):
    """A file that was applied has other content now, or is none that this version has."""


def files() -> list[Path]:
    """The migrations in their order."""
    return sorted((schema_root() / "postgres").glob("[0-9][0-9][0-9]_*.sql"))


def migrate(connection: psycopg.Connection) -> list[str]:
    """Apply what is missing, each file in a transaction of its own; the names of those applied now.

    Raises MigrationChanged where an applied file was edited or is unknown, psycopg.Error where one fails (it is then
    rolled back), NotSetUp where this login may not, and Unreachable where another `migrate` is at work, or a lock was
    not free within LOCK_SECONDS_MAX: try again.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(connection, "voucher-ledger-migrate"))
        except psycopg.errors.QueryCanceled as error:
            raise Unreachable(
                "Postgres: another `voucher-ledger migrate` is at work: let it end, then try again"
            ) from error
        try:
            return _apply_missing(connection)
        except psycopg.errors.InsufficientPrivilege as error:
            refusal = str(error).strip().partition("\n")[0]
            raise NotSetUp(f"this login may not migrate: {refusal}: run it as the owner of the database") from error


def _apply_missing(connection: psycopg.Connection) -> list[str]:
    applied_now: list[str] = []
    connection.execute(_HISTORY)
    rows = connection.execute("SELECT name, sha256 FROM public.voucher_ledger_migration").fetchall()
    done: dict[str, str] = dict(rows)
    unknown = sorted(done.keys() - {path.name for path in files()})
    if unknown:
        raise MigrationChanged(
            f"the database was migrated by another version, which applied {', '.join(unknown)}: this one does not know "
            "the tables as they are, so run the newer version, and its processors"
        )
    for path in files():
        sql = path.read_bytes()
        digest = hashlib.sha256(sql).hexdigest()
        if path.name in done:
            if done[path.name] != digest:
                raise MigrationChanged(f"{path.name} was applied with other content: add a new numbered file")
            continue
        try:
            _apply(connection, path.name, sql, digest)
        except psycopg.errors.LockNotAvailable as error:
            waited = f"{path.name} waited {LOCK_SECONDS_MAX:g} s for a lock that another session holds"
            raise Unreachable(f"Postgres: {waited}: it was rolled back, try again") from error
        applied_now.append(path.name)
    return applied_now


def _apply(connection: psycopg.Connection, name: str, sql: bytes, digest: str) -> None:
    with connection.transaction():
        connection.execute(_BOUNDS.format(milliseconds=round(LOCK_SECONDS_MAX * 1_000)).encode())
        connection.execute(sql)
        connection.execute("INSERT INTO public.voucher_ledger_migration (name, sha256) VALUES (%s, %s)", (name, digest))

"""The numbered SQL files under schemas/postgres, applied once each and in order, under an advisory lock."""

import hashlib
from pathlib import Path

import psycopg

from voucher_ledger.core.schema_files import schema_root
from voucher_ledger.runtime.postgres import locked

_HISTORY = """
CREATE TABLE IF NOT EXISTS public.voucher_ledger_migration (
    name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"""


class MigrationChanged(Exception):
    """A file that was applied has other content now."""


def files() -> list[Path]:
    """The migrations in their order."""
    return sorted((schema_root() / "postgres").glob("[0-9][0-9][0-9]_*.sql"))


def migrate(connection: psycopg.Connection) -> list[str]:
    """Apply what is missing, each file in a transaction of its own; the names of those applied now.

    Raises MigrationChanged where an applied file was edited, psycopg.Error where one fails (it is then rolled back).
    """
    applied_now: list[str] = []
    with locked(connection, "voucher-ledger-migrate"):
        connection.execute(_HISTORY)
        rows = connection.execute("SELECT name, sha256 FROM public.voucher_ledger_migration").fetchall()
        done: dict[str, str] = dict(rows)
        for path in files():
            sql = path.read_bytes()
            digest = hashlib.sha256(sql).hexdigest()
            if path.name in done:
                if done[path.name] != digest:
                    raise MigrationChanged(f"{path.name} was applied with other content: add a new numbered file")
                continue
            with connection.transaction():
                connection.execute(sql)
                connection.execute(
                    "INSERT INTO public.voucher_ledger_migration (name, sha256) VALUES (%s, %s)", (path.name, digest)
                )
            applied_now.append(path.name)
    return applied_now

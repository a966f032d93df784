"""Throw-away databases for a what-if: made, found again after a kill, dropped or kept.

A sandbox is named after the database of the connection by which it is made, and its name is held as a lock on that
connection while its run lives. So the next run knows which sandboxes are nobody's any more, and removes them; and two
runs at once leave each other alone.
"""

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from voucher_ledger.replay.errors import Refused
from voucher_ledger.runtime import migrations, postgres
from voucher_ledger.runtime.errors import Unreachable

PREFIX: Final = "voucher_ledger_what_if"
KEPT_PREFIX: Final = "voucher_ledger_kept"
# To make a database copies a template, and to drop one waits for a checkpoint.
STATEMENT_SECONDS_MAX: Final = 120

# A side's session plans for look-ups by key, as a processor's does: what reads whole tables must not inherit that, nor
# its short waits (one of two that are read beside each other may end long before the other). For one transaction.
OVER_WHOLE_TABLES: Final = """
SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on;
SET LOCAL plan_cache_mode = auto; SET LOCAL work_mem = '64MB';
SET LOCAL statement_timeout = '30min'; SET LOCAL idle_in_transaction_session_timeout = '30min'"""

# Sessions wait while commands are read that are not played; a server may have a bound of its own for that.
HOWEVER_LONG_IDLE: Final = "SET idle_session_timeout = 0"

# What the sandbox notes beside the ledger: the vouchers that stand for others, and what each order came to.
_OWN_TABLES = """
CREATE SCHEMA what_if;
CREATE TABLE what_if.stand_in (named text COLLATE "C" PRIMARY KEY, voucher_id text COLLATE "C" NOT NULL UNIQUE);
CREATE TABLE what_if.told_order (
    order_id text COLLATE "C" NOT NULL, campaign_id text COLLATE "C" NOT NULL, category text COLLATE "C" NOT NULL,
    city_tier smallint);
CREATE TABLE what_if.told_spend (order_id text COLLATE "C" NOT NULL, discount_minor bigint NOT NULL);
CREATE TABLE what_if.recorded_order (LIKE what_if.told_order);
CREATE TABLE what_if.recorded_spend (LIKE what_if.told_spend)"""


class Sandboxes:
    """The sandboxes of one run, on the Postgres server at `dsn`."""

    def __init__(self, dsn: str) -> None:
        """Connect. Raises Unreachable."""
        self._dsn = dsn
        self._connection = postgres.connect(dsn, application="what-if")
        self._connection.execute(f"SET statement_timeout = '{STATEMENT_SECONDS_MAX}s'".encode())
        self._connection.execute(HOWEVER_LONG_IDLE)
        # Locks are a database's own: runs by another database of this server can't see ours, so the names differ.
        held_by = str(self._connection.info.dbname)
        self._prefix = f"{PREFIX}_{hashlib.sha256(held_by.encode()).hexdigest()[:8]}_"
        self._run = f"{self._prefix}{uuid.uuid4().hex[:12]}"
        self._made: list[str] = []

    def remove_leftovers(self) -> tuple[list[str], list[str]]:
        """Drop the sandboxes of runs that were killed; their names, and those that this login may not drop.

        One whose run lives is left alone.
        """
        rows = self._connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s) ORDER BY datname", (self._prefix,)
        )
        dead = [name for (name,) in rows.fetchall() if name not in self._made and self._is_nobodys(name)]
        others = [name for name in dead if not self._dropped(name)]
        return [name for name in dead if name not in others], others

    def make(self, side: str) -> str:
        """Make and migrate the sandbox of `side`; its DSN. Raises Refused where the login may not, Unreachable."""
        name = f"{self._run}_{side}"
        if not postgres.try_lock(self._connection, name):
            raise Refused(f"another run holds the name {name}: try again")
        try:
            self._connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            self._made.append(name)
            dsn = make_conninfo(self._dsn, dbname=name)
            with postgres.connect(dsn, application="what-if") as connection:
                migrations.migrate(connection)
                connection.execute(_OWN_TABLES.encode())
        except psycopg.errors.InsufficientPrivilege as error:
            why = str(error).strip().partition("\n")[0]
            raise Refused(
                f"no sandbox can be made: {why}. A login needs CREATEDB and what `voucher-ledger migrate` needs; give "
                "one, of this server or another, by --sandbox DSN"
            ) from error
        except psycopg.OperationalError as error:
            raise Unreachable(f"Postgres: {str(error).strip()}") from error
        return dsn

    def keep(self) -> list[str]:
        """Rename what was made, so that no later run removes it; the DSNs' database names. Nobody may be connected."""
        kept = []
        for name in self._made:
            new = name.replace(PREFIX, KEPT_PREFIX)
            self._connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(name), sql.Identifier(new))
            )
            kept.append(new)
        self._made = []
        return kept

    def close(self) -> None:
        """Drop what was made and not kept, and give up the locks."""
        try:
            for name in self._made:
                self._drop(name)
        finally:
            self._connection.close()

    def _is_nobodys(self, name: str) -> bool:
        return postgres.try_lock(self._connection, name)

    def _dropped(self, name: str) -> bool:
        try:
            self._drop(name)
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True

    def _drop(self, name: str) -> None:
        # FORCE: the server may not have noticed yet that a killed run is gone.
        self._connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def sandboxes(dsn: str) -> Iterator[Sandboxes]:
    """The sandboxes of a run, dropped at its end however it ends. Raises Unreachable where the server goes away."""
    made = Sandboxes(dsn)
    try:
        yield made
    finally:
        try:
            made.close()
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Unreachable(
                f"Postgres went away; the next run removes the sandboxes: {str(error).strip()}"
            ) from error


def is_sandbox(dsn: str) -> bool:
    """Whether a DSN leads to a sandbox: what a what-if writes to, it makes sure, is one."""
    return str(conninfo_to_dict(dsn).get("dbname", "")).startswith(PREFIX)

"""Connections to Postgres, and the locks that a process holds by one."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from voucher_ledger.runtime.errors import Unreachable, without_tables

CONNECT_SECONDS_MAX = 5
# A process frozen inside a transaction would hold its positions' row locks for ever.
_IDLE_IN_TRANSACTION_MS = 15_000
_STATEMENT_MS_MAX = 30_000

# What is committed is the truth of what was decided; and each statement sees what others committed before it (a lease
# taken, a lock waited for), whatever the database's own default is.
_COMMIT = r"-c synchronous_commit=on -c default_transaction_isolation=read\ committed"

# A batch touches a few thousand keys of tables with millions of rows, whatever the statistics say: index look-ups.
_PLAN_BY_INDEX = (
    "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c plan_cache_mode=force_generic_plan"
)

# Failures of the database or the connection, never of what was asked. Postgres tells damaged pages, faults of its own
# and a database that takes no writes (a demoted primary, a full disk) as InternalError, and a statement prepared before
# a table was changed as NotSupportedError. Another session may find it mended.
BROKEN = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError, psycopg.NotSupportedError)

# For whoever reads several things that must be of one moment: the first statement of a transaction.
SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
# Whoever only reads waits for a lock of a whole table alone: a migration, or what an operator forgot to end.
READ_LOCK_SECONDS_MAX = 10

# What Postgres and libpq say of a login: libpq keeps no SQLSTATE of a connection that failed, so the words must do.
_LOGIN_REFUSED = re.compile(
    r'authentication failed|no password supplied|(role|database) ".*" does not exist|is not permitted to log in'
    r"|permission denied for database|no pg_hba\.conf entry"
)
_ANSWERED = re.compile(r"\bFATAL\b")


def connect(
    dsn: str, *, application: str, role: str | None = None, batch: bool = False, seconds_max: int | None = None
) -> psycopg.Connection:
    """An autocommit connection with keepalives and bounded waits; `batch` plans for set-based key look-ups.

    `seconds_max` bounds the connecting (2 at the least) and each statement more tightly than is usual.

    Raises Unreachable where the server does not answer or refuses, NotSetUp where the login may not take `role`.
    """
    statement_ms = _STATEMENT_MS_MAX if seconds_max is None else seconds_max * 1_000
    options = f"-c idle_in_transaction_session_timeout={_IDLE_IN_TRANSACTION_MS} -c statement_timeout={statement_ms}"
    if batch:
        options = f"{options} {_COMMIT} -c jit=off {_PLAN_BY_INDEX}"
    try:
        connection = psycopg.connect(
            dsn,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS_MAX if seconds_max is None else seconds_max,
            application_name=f"voucher-ledger-{application}",
            options=options,
            keepalives=1,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=15_000,
        )
    except psycopg.OperationalError as error:
        raise Unreachable(_why_refused(error, dsn)) from error
    if role is not None:
        _take_role(connection, role)
    connection.prepare_threshold = 1
    return connection


def _why_refused(error: psycopg.OperationalError, dsn: str) -> str:
    """One line that tells a server that is not there from one that refuses this login, or all for the moment."""
    cause = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
    if _LOGIN_REFUSED.search(cause):
        return f"Postgres refused the login (check user, password and database of VOUCHER_LEDGER_POSTGRES): {cause}"
    if _ANSWERED.search(cause):
        return f"Postgres refuses connections: {cause}"
    # libpq names the server, but not psycopg where its own clock ran out.
    where = "" if "connection to server" in cause else _addresses(dsn)
    return f"Postgres does not answer: {f'{where}: ' if where else ''}{cause}"


def _addresses(dsn: str) -> str:
    """The servers of `dsn`, host:port as far as it names them, and nothing else of it; the empty text where it names
    none: a service's file or libpq's own defaults do.
    """
    given = conninfo_to_dict(dsn)
    hosts = [host for host in str(given.get("hostaddr") or given.get("host") or "").split(",") if host]
    ports = [port for port in str(given.get("port") or "").split(",") if port]
    if len(ports) == 1:
        ports *= len(hosts)
    names = [f"[{host}]" if ":" in host else host for host in hosts]
    if len(ports) != len(names):
        return ", ".join(names)
    return ", ".join(f"{name}:{port}" for name, port in zip(names, ports, strict=True))


@contextmanager
def asking_postgres() -> Iterator[None]:
    """Raises NotSetUp where a table, column or right lacks, Unreachable where the database or the connection fails."""
    try:
        yield
    except psycopg.ProgrammingError as error:
        raise without_tables(error) from error
    except BROKEN as error:
        raise Unreachable(why_broken(error)) from error


def why_broken(error: psycopg.Error) -> str:
    """What to say of one of BROKEN: who does not answer, who waits for whom, or what Postgres itself says."""
    if isinstance(error, psycopg.errors.LockNotAvailable):
        by_whom = "who holds it, and how to end that: docs/RUNBOOKS.md, Position stuck"
        return f"Postgres: another session has held a lock for more than {READ_LOCK_SECONDS_MAX} s; {by_whom}"
    silent = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return f"Postgres{' does not answer' if silent else ''}: {str(error).strip()}"


def try_lock(connection: psycopg.Connection, name: str) -> bool:
    """Take the session lock `name`; False where another session holds it. It goes with the connection."""
    row = connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)).fetchone()
    return bool(row and row[0])


@contextmanager
def locked(connection: psycopg.Connection, name: str) -> Iterator[None]:
    """Hold the session lock `name`, waiting for it as long as statements may wait."""
    connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (name,))
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (name,))


def _take_role(connection: psycopg.Connection, role: str) -> None:
    """Work with the rights of `role` only. Raises NotSetUp where the login may not, or nothing was migrated."""
    try:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    except psycopg.OperationalError as error:
        connection.close()
        raise Unreachable(f"Postgres: {str(error).strip()}") from error
    except psycopg.Error as error:
        connection.close()
        raise without_tables(error) from error

"""The operations journal: who did what with a `replay` verb, when and why. Append-only, in Postgres.

An operation has a row when it starts and one when it ends. One that was killed has no end, and the next run of the same
verb is an operation of its own: nothing resumes by the journal, it is for people.
"""

import getpass
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from voucher_ledger.run import interrupts
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.errors import Unreachable, without_tables
from voucher_ledger.runtime.settings import Settings

Connect = Callable[[], psycopg.Connection]

OPERATOR_ROLE = "voucher_ledger_operator"

_START = """
INSERT INTO books.operation (operation_id, ended, actor, verb, reason, arguments)
VALUES (%s, false, %s, %s, %s, %s)"""

_END = """
INSERT INTO books.operation (operation_id, ended, actor, verb, reason, outcome, result)
VALUES (%s, true, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING"""

_LIST = """
SELECT operation_id, verb, actor, login, reason, arguments, started_at, ended_at, outcome, result
FROM ledger.operation ORDER BY started_at DESC, operation_id LIMIT %s"""


class ReasonMissing(Exception):
    """Something is to be changed, and nobody says why."""


@dataclass(slots=True)
class Operation:
    """An operation under way; what is put into `result` is written when it ends."""

    operation_id: str
    verb: str
    actor: str
    reason: str
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Entry:
    """One operation as `ledger.operation` shows it; `outcome` is `not ended` while it runs or where it was killed."""

    operation_id: uuid.UUID
    verb: str
    actor: str
    login: str
    reason: str
    arguments: dict[str, Any]
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    result: dict[str, Any]


def this_person() -> str:
    """Who runs this program, as `name@host`."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user need not have a name
        name = "unknown"
    return f"{name}@{socket.gethostname()}"


def reason_or(reason: str | None, default: str) -> str:
    """The reason that was given, `default` where there is none, or only blanks."""
    return (reason or "").strip() or default


def connect(settings: Settings) -> psycopg.Connection:
    """A connection with the operator's rights. Raises Unreachable, NotSetUp."""
    return postgres.connect(settings.postgres, application="replay", role=OPERATOR_ROLE)


@contextmanager
def recorded(
    settings: Settings, verb: str, reason: str | None, arguments: Mapping[str, Any], actor: str | None = None
) -> Iterator[Operation]:
    """Write an operation's start before the body runs, and its end after it: done, failed or interrupted.

    Args:
        settings: where Postgres is.
        verb: such as `dead-letters redrive`.
        reason: why, in the operator's words.
        arguments: what was asked for, as JSON can hold it.
        actor: who; by default this program's user and host.

    Raises:
        ReasonMissing: no reason was given; nothing was done.
        Unreachable, NotSetUp: the journal can't be written; at the start, nothing was done.
    """
    connect_now = partial(connect, settings)
    with _started(connect_now, verb, reason, arguments, actor or this_person()) as operation:
        yield operation
    _write(connect_now, _END, operation, "done", Jsonb(operation.result))


@contextmanager
def recorded_in(dsn: str, verb: str, reason: str | None, arguments: Mapping[str, Any]) -> Iterator[Operation]:
    """The same in a ledger that is only being made, at `dsn`, by its owner. That it is done is the body's to write, by
    `finish` in the transaction that does it; only a failure is written here.
    """
    connect_now = partial(postgres.connect, dsn, application="replay")
    with _started(connect_now, verb, reason, arguments, this_person()) as operation:
        yield operation


def finish(connection: psycopg.Connection, operation: Operation) -> None:
    """Write the end of an operation of `recorded_in` into the caller's transaction."""
    given = (operation.operation_id, operation.actor, operation.verb, operation.reason)
    connection.execute(_END, (*given, "done", Jsonb(operation.result)))


@contextmanager
def _started(
    connect_now: Connect, verb: str, reason: str | None, arguments: Mapping[str, Any], actor: str
) -> Iterator[Operation]:
    if reason is None or not reason.strip():
        raise ReasonMissing(f"`{verb}` changes something: say why with --reason")
    operation = Operation(str(uuid.uuid4()), verb, actor, reason.strip())
    given = {name: value for name, value in arguments.items() if value is not None}
    _write(connect_now, _START, operation, Jsonb(given))
    try:
        yield operation
    except BaseException as error:
        outcome, told = "failed", f"{type(error).__name__}: {str(error).strip()[:2_000]}"
        if isinstance(error, KeyboardInterrupt):
            outcome, told = "interrupted", interrupts.told(error)[0]
        operation.result["error"] = told
        _write(connect_now, _END, operation, outcome, Jsonb(operation.result))
        raise


def latest(settings: Settings, count: int) -> list[Entry]:
    """The last `count` operations, the newest first. Raises Unreachable, NotSetUp."""
    with connect(settings) as connection, connection.cursor(row_factory=class_row(Entry)) as cursor:
        try:
            return cursor.execute(_LIST, (count,)).fetchall()
        except psycopg.ProgrammingError as error:
            raise without_tables(error) from error


def _write(connect_now: Connect, statement: str, operation: Operation, *more: object) -> None:
    """On a connection of its own: one held through a long operation might be lost by its end."""
    with connect_now() as connection:
        try:
            connection.execute(
                statement.encode(), (operation.operation_id, operation.actor, operation.verb, operation.reason, *more)
            )
        except psycopg.ProgrammingError as error:
            raise without_tables(error) from error
        except psycopg.OperationalError as error:
            raise Unreachable(f"Postgres: {str(error).strip()}") from error

"""What may end a command, and what is told of it: an exit code, and one line."""

import sys

import psycopg

from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.errors import Inconsistent, NotSetUp, SessionLost, Unreachable, without_tables
from voucher_ledger.runtime.migrations import MigrationChanged
from voucher_ledger.runtime.processor import InstanceTaken
from voucher_ledger.runtime.settings import SettingsError

_CODES: dict[type[Exception], ExitCode] = {
    SettingsError: ExitCode.USAGE,
    NotSetUp: ExitCode.USAGE,
    MigrationChanged: ExitCode.USAGE,
    psycopg.ProgrammingError: ExitCode.USAGE,
    psycopg.OperationalError: ExitCode.UNREACHABLE,  # a connection that is lost, wherever in the program that is
    psycopg.InterfaceError: ExitCode.UNREACHABLE,
    psycopg.InternalError: ExitCode.FAILED,  # it answers, and says that it is damaged or takes no writes
    psycopg.NotSupportedError: ExitCode.FAILED,
    Unreachable: ExitCode.UNREACHABLE,
    Inconsistent: ExitCode.FAILED,
    SessionLost: ExitCode.FAILED,
    InstanceTaken: ExitCode.INSTANCE_TAKEN,
}
# What the program foresees; anything else is a mistake in it, and ends it with a traceback.
FAILURES = tuple(_CODES)


def code_of(error: Exception) -> ExitCode:
    """The exit code of one of FAILURES."""
    return next(code for kind, code in _CODES.items() if isinstance(error, kind))


def failed(reason: object, code: int) -> int:
    """Tell on standard error why a command ends with `code`, as every command does: `error:` and one line."""
    print(f"error: {reason}", file=sys.stderr)
    return code


def text_of(error: Exception) -> str:
    """One line of what happened, and where there is one the command that mends it."""
    told = without_tables(error) if isinstance(error, psycopg.ProgrammingError) else error
    text = "; ".join(line.strip() for line in str(told).splitlines() if line.strip())
    if isinstance(error, postgres.BROKEN):
        return f"Postgres: {text or type(error).__name__}"
    return text

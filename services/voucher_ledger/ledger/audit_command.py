"""`voucher-ledger audit`: runs the audit and shows it, as tables or as JSON."""

import sys

import psycopg
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voucher_ledger.core.wording import counted
from voucher_ledger.ledger.audit import ROWS_SHOWN_MAX, AuditReport, CheckResult, audit
from voucher_ledger.run.failures import failed
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.postgres import BROKEN, connect, why_broken

PASSED, FAILED, USAGE, UNREACHABLE = 0, 1, 2, 3


def run(dsn: str, json: bool) -> int:
    """Audit the ledger at `dsn` and print the report to stdout; the exit code of the contract.

    0: every check passed. 1: one failed, its rows are named. 2: this database holds no ledger, or the role may not
    read it. 3: Postgres does not answer, or stopped answering.
    """
    try:
        connection = connect(dsn, application="audit")
    except Unreachable as error:
        return failed(str(error), UNREACHABLE)
    except psycopg.ProgrammingError as error:
        return failed(f"VOUCHER_LEDGER_POSTGRES is no connection string: {_first_line(error)}", USAGE)
    with connection:
        try:
            report = audit(connection)
        except psycopg.errors.InsufficientPrivilege as error:
            return failed(f"{_first_line(error)}: the role voucher_ledger_operator may read the books", USAGE)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            return failed(f"no ledger in this database ({_first_line(error)}): run `voucher-ledger migrate`", USAGE)
        except BROKEN as error:
            return failed(why_broken(error), UNREACHABLE)
    if json:
        sys.stdout.write(report.to_json() + "\n")
    else:
        show(report, Console(soft_wrap=False))
    return PASSED if report.passed else FAILED


def show(report: AuditReport, console: Console) -> None:
    """Print one line a check, and below them the offending rows of those that failed."""
    table = Table(title=f"Audit of the ledger as of {report.taken_at}", title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("what it proves")
    for check in report.checks:
        result = "[green]passed[/]" if check.passed else f"[red]{counted(check.offending_count, 'row')}[/]"
        table.add_row(check.name, result, escape(check.proves))
    console.print(table)
    for check in report.checks:
        if not check.passed:
            _show_rows(check, console)
    failed = sum(not check.passed for check in report.checks)
    if failed:
        console.print(f"[red]audit failed[/]: {failed} of {len(report.checks)} checks")
    else:
        console.print(f"[green]audit passed[/]: {len(report.checks)} checks")


def _show_rows(check: CheckResult, console: Console) -> None:
    console.print(
        f"\n[red]{check.name}[/]: {escape(check.proves)} Broken by {counted(check.offending_count, 'row')}:",
        soft_wrap=True,
    )
    for row in check.rows:
        line = ", ".join(f"{column}={_shown(value)}" for column, value in row.items())
        console.print("  " + escape(line), soft_wrap=True, highlight=False)
    if check.offending_count > ROWS_SHOWN_MAX:
        console.print(f"  and {check.offending_count - len(check.rows)} more")


def _shown(value: object) -> str:
    return "-" if value is None else str(value)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__

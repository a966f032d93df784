"""The audit: proves from SQL alone, in one snapshot and while traffic runs, that the books are right.

The checks are the named queries of audit_checks.sql; each returns the rows that break it.
"""

from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from time import perf_counter

import orjson
import psycopg
from psycopg.rows import dict_row

from voucher_ledger.runtime.postgres import READ_LOCK_SECONDS_MAX, SNAPSHOT

ROWS_SHOWN_MAX = 20
CHECK_MINUTES_MAX = 30

_CHECK_HEAD = "-- name: "

# A processor's session plans for look-ups by key; an audit reads whole tables, and must not inherit that.
_SETTINGS = f"""
SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on;
SET LOCAL enable_hashagg = on; SET LOCAL plan_cache_mode = auto; SET LOCAL jit = off; SET LOCAL work_mem = '128MB';
SET LOCAL statement_timeout = '{CHECK_MINUTES_MAX}min'; SET LOCAL lock_timeout = '{READ_LOCK_SECONDS_MAX}s';
SET LOCAL idle_in_transaction_session_timeout = '5min'"""
_TIMEOUT = "SELECT set_config('statement_timeout', %s, true)"
_TAKEN_AT = """SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


@dataclass(frozen=True, slots=True)
class Check:
    """A named query of offending rows; `proves` is the sentence that holds when there are none."""

    name: str
    proves: str
    sql: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How a check came out: all offending rows are counted, at most ROWS_SHOWN_MAX are named (by column)."""

    name: str
    proves: str
    offending_count: int
    rows: tuple[dict[str, object], ...]
    duration_seconds: float

    @property
    def passed(self) -> bool:
        """Whether no row breaks the check."""
        return self.offending_count == 0


@dataclass(frozen=True, slots=True)
class AuditReport:
    """All checks, as of the snapshot at `taken_at` (the database's clock, RFC 3339 in UTC)."""

    taken_at: str
    checks: tuple[CheckResult, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def to_json(self) -> str:
        """One JSON object: `passed`, `taken_at`, and `checks` with the offending rows of each."""
        checks = [
            {
                "name": check.name,
                "proves": check.proves,
                "passed": check.passed,
                "offending_count": check.offending_count,
                "rows": check.rows,
                "duration_seconds": round(check.duration_seconds, 3),
            }
            for check in self.checks
        ]
        return orjson.dumps({"passed": self.passed, "taken_at": self.taken_at, "checks": checks}).decode()


def load_checks() -> tuple[Check, ...]:
    """The checks of audit_checks.sql, in its order.

    Raises ValueError where a block has no sentence or no query, or a name comes twice.
    """
    text = files("voucher_ledger.ledger").joinpath("audit_checks.sql").read_text(encoding="utf-8")
    checks: dict[str, Check] = {}
    for block in text.split(f"\n{_CHECK_HEAD}")[1:]:
        name, *lines = block.splitlines()
        sentence: list[str] = []
        while lines and lines[0].startswith("-- "):
            sentence.append(lines.pop(0).removeprefix("-- "))
        sql = "\n".join(lines).strip()
        if not sentence or ";" not in sql or name in checks:
            raise ValueError(f"audit_checks.sql: check {name!r} needs a name of its own, a sentence and a query")
        # The last semicolon ends the query; what may follow it is a comment.
        checks[name] = Check(name, " ".join(sentence), sql[: sql.rindex(";")])
    return tuple(checks.values())


def audit(connection: psycopg.Connection) -> AuditReport:
    """Run every check in one REPEATABLE READ READ ONLY snapshot; nothing is locked and nothing written.

    The connection must be outside a transaction and may read schema `books` (roles writer and operator may).
    Raises psycopg.Error where the database does not answer, lacks the tables or takes longer than CHECK_MINUTES_MAX.
    """
    with connection.transaction():
        connection.execute(SNAPSHOT)
        return run_checks(connection)


def run_checks(connection: psycopg.Connection) -> AuditReport:
    """Run every check in the caller's transaction, whatever that has changed so far included.

    The planner's settings of this transaction are changed to its end. Raises as `audit` does.
    """
    connection.execute(_SETTINGS)
    taken_at = connection.execute(_TAKEN_AT).fetchone()
    assert taken_at is not None, "SELECT of an expression returns a row"
    return AuditReport(taken_at[0], tuple(_run(connection, check) for check in load_checks()))


def run_alone(connection: psycopg.Connection, check: Check, seconds_max: float) -> CheckResult:
    """Run one check in a short READ ONLY snapshot of its own: a long one would keep the dead versions of hot rows.

    Raises psycopg.errors.QueryCanceled where it takes longer than `seconds_max`, and as `audit` does.
    """
    with connection.transaction():
        connection.execute(SNAPSHOT)
        connection.execute(_SETTINGS)
        connection.execute(_TIMEOUT, (f"{round(seconds_max * 1_000)}ms",))
        return _run(connection, check)


def _run(connection: psycopg.Connection, check: Check) -> CheckResult:
    started = perf_counter()
    # The query is one of audit_checks.sql, which comes with this program.
    counted = f"SELECT count(*) OVER () AS offending_count, o.* FROM ({check.sql}\n) AS o LIMIT {ROWS_SHOWN_MAX}"  # noqa: S608
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(counted.encode()).fetchall()
    total = rows[0]["offending_count"] if rows else 0
    named = tuple(
        {column: _plain(value) for column, value in row.items() if column != "offending_count"} for row in rows
    )
    return CheckResult(check.name, check.proves, total, named, perf_counter() - started)


def _plain(value: object) -> object:
    """The sum of bigints is a numeric: whole, and shown as the integer it is."""
    return int(value) if isinstance(value, Decimal) else value

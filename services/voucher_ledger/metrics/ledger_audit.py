"""The audit beside live traffic: check after check, each within a bound, and what came of it as metrics.

`voucher-ledger audit` proves everything in one snapshot, however long it takes. This one finds within minutes what can
be found cheaply, so that somebody is called: a check that takes longer than its bound is left out, and told as such.
"""

import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import structlog
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from voucher_ledger.ledger.audit import Check, CheckResult, load_checks, run_alone
from voucher_ledger.metrics import catalogue
from voucher_ledger.metrics.ledger_books import family
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.errors import NotSetUp, Unreachable
from voucher_ledger.runtime.kept_connection import KeptConnection
from voucher_ledger.runtime.settings import Settings

# A check holds its snapshot, and one core, at most so long.
CHECK_SECONDS_MAX = 2.0
# A run a minute while runs are quick; a slow one is followed by a hundred times its length, up to ten minutes.
EVERY_SECONDS = 60.0
SHARE_OF_TIME_MAX = 0.01
REST_SECONDS_MAX = 600.0
# A check that took too long would do so again: the books only grow. But it may have waited for a lock.
LEFT_OUT_SECONDS = 3_600.0
STANDBY_SECONDS = 5.0
STOP_SECONDS_MAX = 10.0
LOCK_NAME = "voucher-ledger-ledger-audit"
_ROLE = "voucher_ledger_writer"

log = structlog.get_logger()


class LedgerAudit(Collector):
    """Each sweeper's process has one, and whichever holds the lock runs it and serves its metrics; the others wait."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` tells seconds from any moment on."""
        self._clock = clock
        self._connection = KeptConnection(settings.postgres, application="audit", role=_ROLE)
        self._checks = load_checks()
        self._results: dict[str, CheckResult] = {}
        self._left_out: dict[str, float] = {}
        self._last_run: tuple[float, float] | None = None
        self._is_auditor = False
        self._failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._runs, name="audit", daemon=True)

    def start(self) -> None:
        """Run in a thread, until `close`."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the check at hand, and give the lock up."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS_MAX)
        self._disconnect()

    def describe(self) -> Iterator[Family]:
        """What it may tell."""
        yield from (family(metric) for metric in catalogue.AUDIT)

    def collect(self) -> Iterator[Family]:
        """What the last run found; nothing where none was made, or another process makes them."""
        last_run = self._last_run
        if last_run is None:
            return
        rows, results = family(catalogue.AUDIT_ROWS), dict(self._results)
        for name, result in results.items():
            rows.add_metric((name,), result.offending_count)
        checks = family(catalogue.AUDIT_CHECKS)
        failed = sum(not result.passed for result in results.values())
        left_out = len(self._checks) - len(results)
        for label, count in (("passed", len(results) - failed), ("failed", failed), ("left_out", left_out)):
            checks.add_metric((label,), count)
        ended, took = family(catalogue.AUDIT_AT), family(catalogue.AUDIT_SECONDS)
        ended.add_metric((), last_run[0])
        took.add_metric((), last_run[1])
        yield from (checks, rows, ended, took)

    def run_once(self) -> float:
        """Run the checks, or find that another process does; after how many seconds to do it again."""
        try:
            connection = self._connection.get()
            self._is_auditor = self._is_auditor or postgres.try_lock(connection, LOCK_NAME)
            if not self._is_auditor:
                return STANDBY_SECONDS
            started = self._clock()
            for check in self._checks:
                if self._stopping.is_set():
                    return 0.0
                self._look(connection, check)
            took = self._clock() - started
        except (psycopg.Error, Unreachable, NotSetUp) as error:
            if not self._failing:
                log.warning("the ledger can't be audited, trying again", cause=str(error).strip())
            self._failing = True
            self._disconnect()
            return STANDBY_SECONDS
        self._failing = False
        self._last_run = (time.time(), took)
        return min(REST_SECONDS_MAX, max(EVERY_SECONDS, took / SHARE_OF_TIME_MAX))

    def _runs(self) -> None:
        while not self._stopping.wait(self.run_once()):
            pass

    def _look(self, connection: psycopg.Connection, check: Check) -> None:
        """Run one check, unless it took too long within the hour."""
        if self._clock() < self._left_out.get(check.name, float("-inf")):
            return
        before = self._results.get(check.name)
        try:
            found = self._results[check.name] = run_alone(connection, check, CHECK_SECONDS_MAX)
        except psycopg.errors.QueryCanceled:
            self._left_out[check.name] = self._clock() + LEFT_OUT_SECONDS
            log.info("a check of the audit is left out, it took too long", check=check.name, seconds=CHECK_SECONDS_MAX)
            # What was found broken stays so until it is seen whole.
            if before is not None and before.passed:
                del self._results[check.name]
            return
        self._left_out.pop(check.name, None)
        if not found.passed and (before is None or before.passed):
            log.error("the audit failed", check=check.name, proves=check.proves, rows=found.offending_count)

    def _disconnect(self) -> None:
        """Another may run it from now on; what was found here is told no more."""
        self._is_auditor, self._last_run = False, None
        self._connection.drop()

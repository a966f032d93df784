"""The audit beside live traffic: what it finds is told, what takes too long is left out, and one process runs it."""

import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.property.by_hand import campaign_open, claim, step
from tests.property.deciding import Ledger
from voucher_ledger.ledger.audit import load_checks, run_alone
from voucher_ledger.metrics import catalogue, ledger_audit
from voucher_ledger.metrics.ledger_audit import LedgerAudit
from voucher_ledger.runtime.settings import Settings

pytestmark = pytest.mark.integration

ALL = len(load_checks())
# Far above what these few rows take on a busy machine.
PATIENT_SECONDS = 60.0


@pytest.fixture
def settings(ledger: Ledger) -> Settings:
    ledger.begin().play([[step(0, "campaigns", campaign_open())], [step(0, "claims", claim("c-1"))]])
    return Settings(kafka="127.0.0.1:1", postgres=ledger.dsn)


class Clock:
    """Moves on only when told to."""

    def __init__(self) -> None:
        self.now_seconds = 0.0

    def __call__(self) -> float:
        return self.now_seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def audit(settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[LedgerAudit]:
    monkeypatch.setattr(ledger_audit, "CHECK_SECONDS_MAX", PATIENT_SECONDS)
    made = LedgerAudit(settings, clock)
    yield made
    made.close()


def told(audit: LedgerAudit) -> dict[tuple[str, ...], float]:
    return {(s.name, *s.labels.values()): s.value for family in audit.collect() for s in family.samples}


def counts(audit: LedgerAudit) -> tuple[float, ...]:
    """Checks passed, failed and left out."""
    found = told(audit)
    return tuple(found[catalogue.AUDIT_CHECKS.name, result] for result in ("passed", "failed", "left_out"))


def test_sound_books_pass_and_broken_ones_are_told_by_check(audit: LedgerAudit, ledger: Ledger) -> None:
    assert told(audit) == {}, "nothing is said before the first run"
    began = time.time()
    assert audit.run_once() == ledger_audit.EVERY_SECONDS
    assert counts(audit) == (ALL, 0, 0)
    assert told(audit)[(catalogue.AUDIT_AT.name,)] >= began
    ledger.connection.execute("UPDATE books.account SET vouchers = vouchers + 1 WHERE role = 'granted'")
    audit.run_once()
    broken = {key[1] for key, rows in told(audit).items() if key[0] == catalogue.AUDIT_ROWS.name and rows}
    assert {"accounts_equal_their_postings", "campaigns_sum_to_zero"} <= broken
    assert counts(audit) == (ALL - len(broken), len(broken), 0)
    ledger.connection.execute("UPDATE books.account SET vouchers = vouchers - 1 WHERE role = 'granted'")
    audit.run_once()
    assert counts(audit) == (ALL, 0, 0)


def test_what_takes_too_long_is_left_out_for_an_hour(
    audit: LedgerAudit, clock: Clock, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_audit, "CHECK_SECONDS_MAX", 0.3)
    audit._checks = tuple(check for check in audit._checks if "books.refund" in check.sql or "account_is" in check.name)
    waiting = sum("books.refund" in check.sql for check in audit._checks)
    assert 0 < waiting < len(audit._checks)
    with ledger.connection.transaction():
        # It waits for the table, as it would for its own rows.
        ledger.connection.execute("LOCK TABLE books.refund IN ACCESS EXCLUSIVE MODE")
        audit.run_once()
    assert counts(audit) == (len(audit._checks) - waiting, 0, waiting)
    monkeypatch.setattr(ledger_audit, "CHECK_SECONDS_MAX", PATIENT_SECONDS)
    clock.now_seconds = ledger_audit.LEFT_OUT_SECONDS - 1
    audit.run_once()
    assert counts(audit)[2] == waiting
    clock.now_seconds = ledger_audit.LEFT_OUT_SECONDS
    audit.run_once()
    assert counts(audit) == (len(audit._checks), 0, 0)


def test_what_was_found_broken_stays_so_until_it_is_seen_whole(
    audit: LedgerAudit, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit._checks = tuple(check for check in audit._checks if check.name == "campaigns_sum_to_zero")
    ledger.connection.execute("UPDATE books.account SET vouchers = vouchers + 1 WHERE role = 'granted'")
    audit.run_once()
    assert counts(audit) == (0, 1, 0)
    monkeypatch.setattr(ledger_audit, "CHECK_SECONDS_MAX", 0.3)
    with ledger.connection.transaction():
        ledger.connection.execute("LOCK TABLE books.account IN ACCESS EXCLUSIVE MODE")
        audit.run_once()
    assert counts(audit) == (0, 1, 0)


def test_a_slow_run_is_followed_by_a_long_rest(audit: LedgerAudit) -> None:
    moments = iter([0.0, 2.0, 2.0, 100.0])
    audit._checks = ()
    audit._clock = lambda: next(moments)
    assert audit.run_once() == 2.0 / ledger_audit.SHARE_OF_TIME_MAX
    assert audit.run_once() == ledger_audit.REST_SECONDS_MAX


def test_one_process_audits_and_a_successor_goes_on(audit: LedgerAudit, settings: Settings) -> None:
    audit.run_once()
    other = LedgerAudit(settings)
    assert other.run_once() == ledger_audit.STANDBY_SECONDS
    assert told(other) == {}
    audit.close()
    assert told(audit) == {}
    other.run_once()
    assert counts(other)[0] > 0
    other.close()


def test_it_reads_and_cannot_write(audit: LedgerAudit) -> None:
    check = audit._checks[0]
    writing = type(check)(check.name, check.proves, "WITH gone AS (DELETE FROM books.outbox RETURNING 1) TABLE gone")
    with pytest.raises(
        (psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.SyntaxError, psycopg.errors.FeatureNotSupported)
    ):
        run_alone(audit._connection.get(), writing, PATIENT_SECONDS)

"""What the ledger holds at the end of a demo, read once; and what must hold of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import psycopg

from voucher_ledger.demo.watch import Sample, Takeover, claims_phase, mean_per_second, rates_per_second
from voucher_ledger.ledger.audit import AuditReport, audit
from voucher_ledger.replay.verify_report import VerifyReport
from voucher_ledger.simulate.scenario import Scenario
from voucher_ledger.simulate.tally import Tally

_VOUCHERS = """
SELECT state, count(*), sum(face_value_minor)::bigint FROM ledger.voucher WHERE campaign_id = %s
GROUP BY state ORDER BY state"""
_ORDERS = """
SELECT state, count(*), sum(discount_minor)::bigint FROM ledger.reservation WHERE campaign_id = %s
GROUP BY state ORDER BY state"""
_PAYMENTS = """
SELECT count(*), coalesce(sum(p.paid_minor), 0)::bigint, coalesce(sum(p.discount_minor), 0)::bigint,
       count(*) FILTER (WHERE p.state = 'refunded'), coalesce(sum(p.refunded_minor), 0)::bigint
FROM ledger.payment p JOIN ledger.reservation r USING (order_id) WHERE r.campaign_id = %s"""
_BALANCES = "SELECT role, unit, balance FROM ledger.balance WHERE campaign_id = %s"
_OUTBOX = "SELECT count(*) FROM ledger.outbox"


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many vouchers or orders are in a state, and their value or discount in minor units."""

    state: str
    count: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Payments:
    """All payments of the campaign; `refunded` counts those refunded whole, `refunded_minor` sums parts too."""

    count: int
    paid_minor: int
    discount_minor: int
    refunded: int
    refunded_minor: int


class Throughput(NamedTuple):
    """Claims a second: sent, at most; decided, over the best second, and over the time from the first to the last."""

    sent_max: float
    peak: float
    mean: float


class Verdict(NamedTuple):
    """One thing that must hold, and what was found."""

    claim: str
    passed: bool
    found: str


@dataclass(frozen=True, slots=True)
class Books:
    """The campaign's part of the ledger. `balances` are by (role, unit); `outbox_rows` are all there are."""

    vouchers: Sequence[StateCount]
    orders: Sequence[StateCount]
    payments: Payments
    balances: dict[tuple[str, str], int]
    outbox_rows: int
    audit: AuditReport

    @property
    def granted(self) -> int:
        """How many vouchers were ever granted."""
        return sum(row.count for row in self.vouchers)

    @property
    def open_vouchers(self) -> int:
        """How many are neither spent nor expired."""
        return sum(row.count for row in self.vouchers if row.state in ("granted", "held"))


@dataclass(frozen=True, slots=True)
class Result:
    """All that a demo has come to. `exit_code` is that of the processors when they were asked to stop."""

    scenario: Scenario
    tally: Tally
    books: Books
    verified: VerifyReport
    throughput: Throughput
    takeover: Takeover | None
    exit_code: int

    @property
    def passed(self) -> bool:
        """Whether everything holds that must."""
        return all(verdict.passed for verdict in self.verdicts())

    def verdicts(self) -> list[Verdict]:
        """What must hold, each with what was found."""
        return [self.granted_exactly(), *self.sound()]

    def granted_exactly(self) -> Verdict:
        """Every card was granted, and none twice."""
        books, cards = self.books, self.scenario.cards
        found = f"{books.granted:,} in the ledger, {self.tally.granted:,} in the events"
        if books.granted == self.tally.granted < cards and self._closed_early:
            found += (
                "; the rest was not claimed in time, since this machine is slower, or busier, than the day was made "
                "for: try `voucher-ledger demo --claims 60000 --cards 10000`"
            )
        return Verdict(f"granted exactly {cards:,}", books.granted == cards == self.tally.granted, found)

    @property
    def _closed_early(self) -> bool:
        """Whether claims came when the campaign had been closed, so that no card would be granted a second time."""
        return any(outcome.reason == "ended" for outcome in self.verified.answers.outcomes)

    def sound(self) -> list[Verdict]:
        """What must hold of any play."""
        books, answers = self.books, self.verified.answers
        events, undecided = answers.outcomes.total(), self.verified.undecided.total()
        dead_letters = answers.dead_letters.total()
        checks = books.audit.checks
        failed = sum(not check.passed for check in checks)
        taken_over = "it was not" if self.takeover is None else f"after {self.takeover.seconds:.1f} s"
        return [
            Verdict(
                "event topics: every command answered exactly once",
                answers.passed and not undecided,
                f"{answers.answered.total():,} commands = {events:,} events + {dead_letters:,} dead letters"
                if answers.passed and not undecided
                else f"{answers.fault_count:,} faults, {undecided:,} not decided",
            ),
            Verdict(
                "every row of the ledger is what the events tell",
                self.verified.compared and not self.verified.difference_count + self.verified.contradiction_count,
                f"{self.verified.difference_count:,} rows differ of {self.verified.compared_count:,}",
            ),
            Verdict(
                "audit of the ledger",
                books.audit.passed,
                f"{failed} of {len(checks)} checks failed" if failed else f"{len(checks)} checks",
            ),
            Verdict("a processor killed and taken over", self.takeover is not None, taken_over),
            Verdict("no voucher left open", books.open_vouchers == 0, f"{books.open_vouchers:,} granted or held"),
            Verdict(
                "processors finished cleanly, all published",
                self.exit_code == 0 and books.outbox_rows == 0,
                f"exit code {self.exit_code}, {books.outbox_rows} batches in the outbox",
            ),
        ]


def read_books(connection: psycopg.Connection, campaign_id: str) -> Books:
    """Read the campaign's figures and audit the whole ledger. Raises psycopg.Error."""
    payments = connection.execute(_PAYMENTS, (campaign_id,)).fetchone()
    outbox_rows = connection.execute(_OUTBOX).fetchone()
    assert payments is not None, "an aggregate returns a row"
    assert outbox_rows is not None, "an aggregate returns a row"
    return Books(
        vouchers=[StateCount(*row) for row in connection.execute(_VOUCHERS, (campaign_id,))],
        orders=[StateCount(*row) for row in connection.execute(_ORDERS, (campaign_id,))],
        payments=Payments(*payments),
        balances={(role, unit): balance for role, unit, balance in connection.execute(_BALANCES, (campaign_id,))},
        outbox_rows=outbox_rows[0],
        audit=audit(connection),
    )


def throughput(samples: Sequence[Sample], claims: int, sent_max: float) -> Throughput:
    """Measure it over the time from the first claim decided to the last of all `claims`."""
    phase = claims_phase(list(samples), claims)
    mean = mean_per_second(phase)
    return Throughput(sent_max, max(mean, *rates_per_second(phase)), mean)

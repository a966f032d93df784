"""What the ledger itself says of a campaign, as the monitor takes it: plain data. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from voucher_ledger.monitor.forecast import Plan, Supply, Tranche

# A reading comes each two seconds and takes a moment: so old a one still tells of now.
READING_SECONDS_YOUNG = 5.0


@dataclass(frozen=True, slots=True)
class Facts:
    """Times in seconds since 1970; cards and money (minor units of `currency`) as they stood when read.

    `quota` and `budget_minor` hold what top-ups added; `cards_out` are those in granted, held and spent. `waiting`
    users are in the waiting room, the first of them since `waiting_since` (None where nobody waits).
    """

    campaign_id: str
    name: str
    state: str
    currency: str
    face_value_minor: int
    starts_at: int
    ends_at: int
    tranches: tuple[Tranche, ...]
    quota: int
    cards_left: int
    cards_out: int
    budget_minor: int
    budget_left_minor: int
    overspent_minor: int
    waiting: int = 0
    waiting_since: float | None = None

    def plan(self) -> Plan:
        """What the campaign means to have given out by when."""
        return Plan(self.quota, self.starts_at, self.ends_at, self.tranches)

    @property
    def affordable(self) -> int:
        """Cards that the budget left pays for."""
        return self.budget_left_minor // self.face_value_minor

    def supply(self, at: int) -> Supply:
        """What is released at `at` of the cards left, and the tranches after it."""
        coming = tuple(tranche for tranche in self.tranches if tranche.at > at)
        return Supply(max(0, self.cards_left - sum(tranche.quota for tranche in coming)), coming)

    @property
    def budget_used_share(self) -> float:
        """Of what was budgeted, the share that is no longer in pool and leases, and what was granted past it."""
        if self.budget_minor == 0:
            return 0.0
        return (self.budget_minor - self.budget_left_minor + self.overspent_minor) / self.budget_minor


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the processors of one command topic are behind: records (and seconds) not decided yet, and records that
    are decided and not published yet, so that no rollup tells of them. None is not known.
    """

    topic: str
    records: int
    seconds: float | None
    unpublished: int | None = 0

    def as_json(self) -> dict[str, object]:
        """For the page."""
        return {"topic": self.topic, "records": self.records, "seconds": self.seconds}


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at ledger and topics, at `read_at` (seconds since 1970).

    `movements` is what the demand counted said of each campaign when the look began (outlook.movements); None where
    demand was not held then.
    """

    read_at: float
    campaigns: dict[str, Facts]
    lags: tuple[Lag, ...]
    movements: Mapping[str, int] | None = None

    @property
    def unpublished(self) -> int | None:
        """Records that are decided and not published, of all topics; None where one does not tell."""
        total = 0
        for lag in self.lags:
            if lag.unpublished is None:
                return None
            total += lag.unpublished
        return total

    @property
    def lag_seconds(self) -> float | None:
        """The longest lag of any topic; None where a topic with waiting records does not tell."""
        longest = 0.0
        for lag in self.lags:
            if lag.seconds is None:
                return None
            longest = max(longest, lag.seconds)
        return longest

    def lag_seconds_at(self, now: float) -> float | None:
        """`lag_seconds`, and by an old reading so much more as it is too old to tell of `now`."""
        lag = self.lag_seconds
        return None if lag is None else lag + max(0.0, now - self.read_at - READING_SECONDS_YOUNG)

"""All that is worked out of one campaign at one moment: windows, forecast, growth, differences. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from voucher_ledger.monitor import forecast, windows
from voucher_ledger.monitor.buckets import Bucket, Level, count_of, empty
from voucher_ledger.monitor.facts import Facts
from voucher_ledger.monitor.forecast import EXPIRED, GRANTED, Ends, Rates
from voucher_ledger.monitor.gone import gone_at
from voucher_ledger.monitor.windows import Growth

RECENT_SECONDS = 300
# Where it is not known what was counted when the ledger was read: it was at most so much demand ago, by record time.
READING_SECONDS = 10
# Cards and budget that end within so long of one another both end: which one is first is chance.
TOGETHER_SECONDS = 60
REFUSED_BY_ROOM = {"claims": "voucher.rejected", "orders": "order.rejected", "payments": "payment.rejected"}
ANSWERED_BY_ROOM = {
    "claims": ("voucher.granted", "voucher.queued", "voucher.rejected"),
    "orders": ("order.reserved", "order.rejected"),
    "payments": ("payment.settled", "payment.rejected"),
}
# Refused because it is too early, as it was planned: whoever is refused so may come again, and will be served then.
EARLY_REASONS = frozenset({"not_started", "not_released"})
RESERVED = "order.reserved"
REFUNDED = "payment.refunded"

Buckets = Mapping[Level, Mapping[int, Bucket]]


@dataclass(frozen=True, slots=True)
class Refusals:
    """Of the last RECENT_SECONDS: answers of a room, refusals among them, and their most frequent reason.

    Who came too early is counted in `early` alone, and is neither answered nor refused here.
    """

    room: str
    answered: int
    refused: int
    top_reason: str | None
    early: int

    @property
    def share(self) -> float:
        """Refusals of all answers, 0 where there were none."""
        return self.refused / self.answered if self.answered else 0.0


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Cards given out by the demand counted, and by the ledger; what may differ between the two without a fault."""

    counted: int
    ledger: int
    allowed_above: int
    allowed_below: int

    @property
    def difference(self) -> int:
        """Counted less the ledger's, beyond what is allowed: 0 where they agree."""
        plain = self.counted - self.ledger
        return max(0, plain - self.allowed_above) + min(0, plain + self.allowed_below)


@dataclass(frozen=True, slots=True)
class Outlook:
    """One campaign as of `as_of` (seconds since 1970, record time).

    `gone_at` is since when there are no cards, or no money for one; None where there are both, or it is not known.
    """

    campaign_id: str
    as_of: int
    first_demand: int
    facts: Facts | None
    rates: Rates | None
    cards_end: Ends | None
    budget_end: Ends | None
    gone_at: int | None
    planned_granted: float | None
    recent: Bucket
    total: Bucket
    refusals: tuple[Refusals, ...]
    by_category: tuple[Growth, ...]
    by_tier: tuple[Growth, ...]
    high_ticket_share: float
    reconciliation: Reconciliation | None

    @property
    def lately(self) -> int:
        """Outcomes of the last RECENT_SECONDS, of all types."""
        return sum(cell[0] for cell in self.recent["types"].values())


def as_of(buckets: Buckets, facts: Facts | None, now: float, lag_seconds: float | None, *, caught_up: bool) -> int:
    """The moment up to which a campaign's demand is known, in record time.

    While a campaign runs and everything sent is read, silence is demand too: it is the clock, less the processors' lag.
    In a replay, past the campaign, or where the monitor itself is behind, it is the second after the newest one seen;
    of a campaign without demand, the clock.
    """
    newest = newest_second(buckets)
    if newest == 0:
        return int(now)
    running = facts is not None and facts.starts_at <= now < facts.ends_at
    if running and caught_up and lag_seconds is not None:
        return max(newest, int(now - lag_seconds))
    return newest


def newest_second(buckets: Buckets) -> int:
    """The second after the newest one that holds demand; 0 without any."""
    minutes = buckets.get("minute", {})
    if not minutes:
        return 0
    start = max(minutes)
    seconds = minutes[start]["seconds"].values()
    return start + max((i + 1 for counts in seconds for i, count in enumerate(counts) if count), default=0)


def movements(buckets: Buckets) -> int:
    """Cards that were given out or came back, of all demand counted: it only grows, unless the campaign is dropped."""
    return count_of(_total(buckets), GRANTED, EXPIRED)


def look(
    campaign_id: str, buckets: Buckets, facts: Facts | None, moment: int, unpublished: int | None,
    movements_read: int | None = None, *, foretell: bool = True,
) -> Outlook:  # fmt: skip
    """Everything of one campaign at `moment`, as `as_of` gives it; `unpublished` as `Reading.unpublished`, and
    `movements_read` what `movements` was when the reading of the ledger began (None where that is not known). Without
    `foretell` there is neither trend nor forecast: demand of one time says nothing of the balances of another.
    """
    minutes, quarters = buckets.get("minute", {}), buckets.get("quarter", {})
    total = _total(buckets)
    first = min(minutes, default=moment)
    # Who asks before the start is refused: those seconds without grants would make the trend too slow.
    begins_at = max(_first_second(minutes, first), 0 if facts is None else facts.starts_at)
    trend = forecast.rates(minutes, moment, begins_at) if foretell else None
    recent = windows.last(minutes, RECENT_SECONDS, moment - 1).bucket
    by_category, by_tier = windows.growth(quarters, moment, RESERVED, 0 if facts is None else facts.starts_at)
    cards_end = budget_end = gone = planned = reconciliation = None
    if facts is not None:
        if trend is not None:
            cards_end, budget_end = _ends(facts, trend, moment)
        if not facts.cards_left or not facts.affordable:
            gone = gone_at(minutes, quarters, moment)
        planned = facts.plan().granted(moment)
        if movements_read is None:
            since_read = sum(windows.per_second(minutes, (GRANTED, EXPIRED), moment - READING_SECONDS, moment))
        else:
            since_read = max(0, movements(buckets) - movements_read)
        reconciliation = reconcile(total, facts, since_read, unpublished)
    return Outlook(
        campaign_id, moment, first, facts, trend, cards_end, budget_end, gone, planned, recent, total,
        refusals(recent), tuple(by_category), tuple(by_tier),
        high_ticket_share(recent), reconciliation,
    )  # fmt: skip


def _ends(facts: Facts, trend: Rates, moment: int) -> tuple[Ends | None, Ends | None]:
    """When cards and when the budget end. Once the one is gone nothing is granted, and so the other does not end: nor
    does the one that the trend uses up later.
    """
    affordable, supply = facts.affordable, facts.supply(moment)
    cards = forecast.ends(facts.cards_left, trend, moment, supply)
    budget = forecast.ends(affordable, trend, moment, supply)
    if not facts.cards_left or not affordable:
        return (None if facts.cards_left else cards), (None if affordable else budget)
    cards_at, budget_at = (math.inf if end.middle is None else end.middle for end in (cards, budget))
    return (
        None if cards_at > budget_at + TOGETHER_SECONDS else cards,
        None if budget_at > cards_at + TOGETHER_SECONDS else budget,
    )


def refusals(recent: Bucket) -> tuple[Refusals, ...]:
    """What each room refused, of what it was asked for (expiries and cancels are not asked for by users)."""
    found = []
    for room, type_ in REFUSED_BY_ROOM.items():
        reasons = recent["reasons"].get(type_, {})
        early = sum(count for reason, count in reasons.items() if reason in EARLY_REASONS)
        others = {reason: count for reason, count in reasons.items() if reason not in EARLY_REASONS}
        top = max(others, key=lambda reason: others[reason]) if others else None
        answered, refused = count_of(recent, *ANSWERED_BY_ROOM[room]), count_of(recent, type_)
        found.append(Refusals(room, answered - early, refused - early, top, early))
    return tuple(found)


def high_ticket_share(bucket: Bucket) -> float:
    """High-ticket orders of all orders, 0 where there were none."""
    orders = bucket["types"].get(RESERVED, [0, 0, 0])
    return orders[2] / orders[0] if orders[0] else 0.0


def _total(buckets: Buckets) -> Bucket:
    return next(iter(buckets.get("total", {}).values()), empty())


def reconcile(total: Bucket, facts: Facts, since_read: int, unpublished: int | None) -> Reconciliation | None:
    """Counted grants less expiries against granted, held and spent of the ledger; None where it is not known how much
    is decided and not published, and where no demand at all is held: it is another's, or too old.

    `since_read` are the movements that were counted since the ledger was read, which may be missing there.
    A refund gives a voucher that expired meanwhile back to the pool, which no outcome's type tells: for each refund
    counted, one card more may be counted than is out.
    """
    if unpublished is None or not total["types"]:
        return None
    counted = forecast.net_grants(total)
    on_the_way = since_read + unpublished
    return Reconciliation(
        counted=counted,
        ledger=facts.cards_out,
        allowed_above=count_of(total, REFUNDED) + on_the_way,
        allowed_below=on_the_way,
    )


def _first_second(minutes: Mapping[int, Bucket], first: int) -> int:
    bucket = minutes.get(first)
    if bucket is None:
        return first
    return first + min(
        (next((i for i, count in enumerate(counts) if count), 59) for counts in bucket["seconds"].values()), default=0
    )

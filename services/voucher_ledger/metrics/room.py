"""What a room's process tells of itself: counted a batch at a time, from the rollups that the batch made anyway."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import attrgetter

from prometheus_client import CollectorRegistry

from voucher_ledger.core.demand import Row
from voucher_ledger.core.records import Command
from voucher_ledger.metrics import catalogue
from voucher_ledger.metrics.labels import (
    CAMPAIGNS_MAX,
    CATEGORIES_MAX,
    NONE,
    Bounded,
    dead_letter_class,
)
from voucher_ledger.metrics.latency import LatencyHistogram
from voucher_ledger.metrics.observer import Laps, Observer
from voucher_ledger.metrics.readiness import Readiness
from voucher_ledger.metrics.registry import counter, gauge, histogram
from voucher_ledger.runtime.errors import Fenced, TakenOver
from voucher_ledger.runtime.outbox import Share

_type_of = attrgetter("type")


def _times_ms(shares: Iterable[Share]) -> Iterator[int]:
    return chain.from_iterable(share.times_ms for share in shares)


class ProcessMetrics(Observer):
    """What every process tells: whether it is ready, and how often it had to begin anew."""

    def __init__(self, room: str, registry: CollectorRegistry, readiness: Readiness) -> None:
        self._room = room
        self._readiness = readiness
        self._sessions_lost = counter(registry, catalogue.SESSIONS_LOST)
        # What must be alerted on is there from the start, as 0: a rate knows no increase from nothing.
        for cause in ("lost", "fenced_by_kafka", "fenced_by_ledger"):
            self._sessions_lost.labels(room, cause)

    def turned(self) -> None:
        """See Observer."""
        self._readiness.turned()

    def ready(self, what: str) -> None:
        """See Observer."""
        self._readiness.ready(what)

    def not_ready(self, why: str) -> None:
        """See Observer."""
        self._readiness.not_ready(why)

    def session_lost(self, error: Exception) -> None:
        """See Observer."""
        cause = "lost"
        if isinstance(error, Fenced):
            cause = "fenced_by_kafka"
        elif isinstance(error, TakenOver):
            cause = "fenced_by_ledger"
        self._sessions_lost.labels(self._room, cause).inc()
        self._readiness.not_ready(f"the session was lost: {error}")


class RoomMetrics(ProcessMetrics):
    """The metrics of one room's process."""

    def __init__(self, room: str, registry: CollectorRegistry, readiness: Readiness) -> None:
        super().__init__(room, registry, readiness)
        self._campaigns = Bounded(CAMPAIGNS_MAX, self._forget_campaign)
        self._categories = Bounded(CATEGORIES_MAX, self._forget_category)
        self._commands = counter(registry, catalogue.COMMANDS)
        self._outcomes = counter(registry, catalogue.OUTCOMES)
        self._segments = counter(registry, catalogue.SEGMENTS)
        self._value = counter(registry, catalogue.VALUE)
        self._dead_letters = counter(registry, catalogue.DEAD_LETTERS)
        self._batches = histogram(registry, catalogue.BATCHES).labels(room)
        self._stages = histogram(registry, catalogue.STAGES)
        self._to_commit = LatencyHistogram(catalogue.TO_COMMIT, (room,))
        self._to_published = LatencyHistogram(catalogue.TO_PUBLISHED, (room,))
        registry.register(self._to_commit)
        registry.register(self._to_published)
        self._published = counter(registry, catalogue.PUBLISHED).labels(room)
        gauge(registry, catalogue.QUEUE).labels(room).set_function(lambda: float(readiness.waiting_batches))
        self._decided_again = counter(registry, catalogue.DECIDED_AGAIN)
        self._takeovers = counter(registry, catalogue.TAKEOVERS).labels(room)
        self._republished = counter(registry, catalogue.REPUBLISHED).labels(room)
        self._producers = counter(registry, catalogue.PRODUCERS).labels(room)

    def recovered(self, partitions: int, batches_again: int) -> None:
        """See Observer."""
        self._takeovers.inc(partitions)
        self._republished.inc(batches_again)

    def producer_made(self) -> None:
        """See Observer."""
        self._producers.inc()

    def decided_again(self, cause: str) -> None:
        """See Observer."""
        self._decided_again.labels(self._room, cause).inc()

    def decided(self, commands: Sequence[Command], shares: Sequence[Share], laps: Laps) -> None:
        """See Observer."""
        now_ms, room = time.time_ns() // 1_000_000, self._room
        for type_, count in Counter(map(_type_of, commands)).items():
            self._commands.labels(room, type_).inc(count)
        self._count_outcomes(shares)
        for stage, seconds in laps.seconds.items():
            self._stages.labels(room, stage).observe(seconds)
        self._to_commit.observe(_times_ms(shares), now_ms)
        records = 0
        for share in shares:
            records += len(share.events) + len(share.dead_letters)
            for letter in share.dead_letters:
                self._dead_letters.labels(room, dead_letter_class(letter.error)).inc()
        self._batches.observe(records)

    def submitted(self) -> None:
        """See Observer."""
        self._readiness.submitted()

    def published(self, batches: int, shares: Sequence[Share], seconds: float) -> None:
        """See Observer."""
        self._readiness.published(batches)
        now_ms = time.time_ns() // 1_000_000
        self._stages.labels(self._room, "publish").observe(seconds)
        self._to_published.observe(_times_ms(shares), now_ms)
        self._published.inc(sum(len(share.events) for share in shares))

    def publisher_stopped(self) -> None:
        """See Observer."""
        self._readiness.nothing_waits()

    def _forget_campaign(self, campaign: str) -> None:
        for instrument in (self._outcomes, self._segments, self._value):
            instrument.remove_by_labels({"campaign": campaign})

    def _forget_category(self, category: str) -> None:
        self._segments.remove_by_labels({"category": category})

    def _count_outcomes(self, shares: Sequence[Share]) -> None:
        """Add up what is alike in all shares and seconds first: a call of prometheus-client costs more than a sum."""
        outcomes: Counter[tuple[str, ...]] = Counter()
        segments: Counter[tuple[str, ...]] = Counter()
        values: Counter[tuple[str, ...]] = Counter()
        for share in shares:
            for rollup in share.rollups:
                campaign = self._campaigns.let_in(rollup.campaign_id)
                self._add_up(rollup.rows, campaign, outcomes, segments, values)
        for instrument, counts in ((self._outcomes, outcomes), (self._segments, segments), (self._value, values)):
            for labels, amount in counts.items():
                instrument.labels(self._room, *labels).inc(amount)

    def _add_up(
        self,
        rows: Iterable[Row],
        campaign: str,
        outcomes: Counter[tuple[str, ...]],
        segments: Counter[tuple[str, ...]],
        values: Counter[tuple[str, ...]],
    ) -> None:
        for row in rows:
            outcomes[row.type, row.reason or NONE, campaign] += row.count
            # A category that a campaign takes is one; whatever else is sent must not fill the room for them.
            label_of = self._categories.let_in if row.type == "order.reserved" else self._categories.known
            city_tier = NONE if row.city_tier is None else str(row.city_tier)
            segments[row.type, campaign, label_of(row.category), city_tier] += row.count
            if row.value_minor:
                values[row.type, campaign] += row.value_minor

"""The monitor's round: once a second it looks at all campaigns, tells what changed, and shows the rest.

Reading the ledger goes on beside it in a thread: a slow database makes the figures old, and the round says how old.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from typing import Any, Protocol

import structlog

from voucher_ledger.monitor import alerts, outlook, view
from voucher_ledger.monitor.alert_records import Record, encode
from voucher_ledger.monitor.alerts import Key, Standing
from voucher_ledger.monitor.buckets import count_of
from voucher_ledger.monitor.crossing_watch import Count, CrossingWatch
from voucher_ledger.monitor.facts import Reading
from voucher_ledger.monitor.held_before import held_before
from voucher_ledger.monitor.moments import Moments
from voucher_ledger.monitor.outlook import RESERVED, Outlook
from voucher_ledger.monitor.store import Store
from voucher_ledger.runtime.errors import Unreachable

ROUND_SECONDS = 1.0
# Campaigns, by their demand. Of the rest the ledger tells as many as fit (voucher_ledger.monitor.ledger).
WANTED_MAX = 64
READ_EVERY_SECONDS = 2.0
READING_SECONDS_MAX = 30.0
ROUND_SECONDS_MAX = 30.0
# Rollups that may wait while the monitor counts as caught up: some are on their way in every moment.
CAUGHT_UP_RECORDS = 1_000

log = structlog.get_logger()


class Source(Protocol):
    """Where demand comes from: voucher_ledger.monitor.faust_app.DemandApp, or a test's own."""

    store: Store
    ready: bool
    partitions_total: int

    def partitions(self) -> list[int]:
        """The partitions that are read."""

    def lag_records(self) -> int | None:
        """Records that wait to be read; None while that is not known."""


class Watch:
    """What stands, and what was last worked out. `tell` sends a record and returns when it is delivered."""

    def __init__(
        self,
        source: Source,
        read: Callable[[Collection[str]], Reading],
        tell: Callable[[Record], Awaitable[Any]],
        standing: dict[Key, Standing],
        count_crossing: Count,
    ) -> None:
        self._source = source
        self._read = read
        self._tell = tell
        self.standing = standing
        self.outlooks: dict[str, Outlook] = {}
        self.reading: Reading | None = None
        self.problem: str | None = None
        self.round_at = time.monotonic()
        self.lag_records: int | None = None
        self._moments = Moments()
        self._judged: set[str] = set()
        self.crossing = CrossingWatch(count_crossing, self._with_orders)

    async def rounds(self) -> None:
        """A round each ROUND_SECONDS, until cancelled. Raises what a record that could not be told raises."""
        while True:
            started = time.monotonic()
            await self.round(time.time())
            await asyncio.sleep(max(0.0, ROUND_SECONDS - (time.monotonic() - started)))

    async def readings(self) -> None:
        """Read the ledger each READ_EVERY_SECONDS, until cancelled. Out of reach is told once, and tried again; that
        tables or rights are missing is raised.
        """
        while True:
            try:
                await self.read()
                if self.problem is not None:
                    log.info("the ledger answers again")
                self.problem = None
            except Unreachable as error:
                if self.problem is None:
                    log.warning("the ledger cannot be read, trying again", cause=str(error))
                self.problem = str(error)
            await asyncio.sleep(READ_EVERY_SECONDS)

    async def read(self) -> None:
        """Read the ledger once, and note what was counted before: while a backlog is worked off, minutes of record time
        are counted during one reading. Raises what the reading does.
        """
        movements = None
        # Before that its consumer may not be asked, and demand is not whole.
        if self._source.ready:
            movements = {name: outlook.movements(buckets) for name, buckets in self.kept().items()}
        self.reading = replace(await asyncio.to_thread(self._read, self._wanted()), movements=movements)

    def _wanted(self) -> list[str]:
        """The campaigns that a reading may not leave out, however many run: those whose alerts stand, to be told when
        they are over, and as many with the most demand lately.
        """
        # Whether an earlier reading told of it must not matter: what came in this minute would never come in.
        demanded = sorted((one for one in self.outlooks.values() if one.lately), key=lambda one: -one.lately)
        named = [*(key.campaign_id for key in self.standing), *(one.campaign_id for one in demanded[:WANTED_MAX])]
        return [*dict.fromkeys(named)]

    async def round(self, now: float) -> None:
        """Look once. `now` is in seconds since 1970."""
        self.round_at = time.monotonic()
        if not self._source.ready or self.reading is None:
            return
        self.lag_records = self._source.lag_records()
        caught_up = self._why_behind() is None
        lag_seconds = self.reading.lag_seconds_at(now)
        kept = self.kept()
        outlooks = {}
        # Without demand here, a campaign may be another monitor's, whose partition is not read here.
        reads_all = len(self._source.partitions()) >= self._source.partitions_total
        others = [name for name in self.reading.campaigns if name not in kept] if reads_all else []
        for campaign_id in [*kept, *others]:
            facts = self.reading.campaigns.get(campaign_id)
            buckets = kept.get(campaign_id, {})
            moment = self._moments.of(campaign_id, buckets, facts, now, lag_seconds, caught_up=caught_up)
            read = self.reading.movements
            outlooks[campaign_id] = outlook.look(
                campaign_id, buckets, facts, moment, self.reading.unpublished,
                None if read is None else read.get(campaign_id, 0), foretell=self.why_frozen(now) is None,
            )  # fmt: skip
        self._moments.keep(outlooks)
        self.outlooks = outlooks
        await self._step(now, kept)

    async def _step(self, now: float, kept: dict[str, Any]) -> None:
        # By old figures nothing begins and nothing ends: they would be compared with demand of another time.
        if self.reading is None or self.why_frozen(now) is not None:
            return
        holding = [found for one in self.outlooks.values() for found in alerts.conditions(one)]
        # Of a campaign that neither ledger nor demand tells of, nobody will ever look at its alerts again.
        gone = {key.campaign_id for key in self.standing} - self.reading.campaigns.keys()
        # How much is on its way may be unknown most of the time under load: that is no end of a difference.
        is_unknown = self.reading.unpublished is None
        unknown = {key for key in self.standing if is_unknown and key.alert == "reconciliation"}
        judged = {name for name, one in self.outlooks.items() if one.facts is not None}
        held: dict[Key, float] = {}
        # Of these nothing is remembered: this process was started again, or no reading told of them before.
        for name in judged - self._judged:
            held |= held_before(self.outlooks[name], kept.get(name, {}), self.standing)
        self._judged = judged
        after, changes = alerts.step(self.standing, holding, {*self.outlooks, *gone}, now, unknown, held)
        for change in changes:
            await self._tell(encode(change, now))
            told = change.condition
            log.warning("alert", state=change.state, severity=told.severity, summary=told.summary, **told.key._asdict())
        self.standing = after

    def kept(self) -> dict[str, Any]:
        """The buckets of each campaign that this process reads."""
        return dict(self._source.store.campaigns(self._source.partitions()))

    def _with_orders(self) -> list[str]:
        return [name for name, one in self.outlooks.items() if count_of(one.total, RESERVED)]

    def is_alive(self) -> bool:
        """Whether rounds go on."""
        return time.monotonic() - self.round_at < ROUND_SECONDS_MAX

    def why_not_ready(self) -> str | None:
        """What keeps the figures from being current; None where nothing does."""
        if not self._source.ready:
            return "demand is being recovered from the changelog"
        return self._why_not_read(time.time())

    def why_frozen(self, now: float) -> str | None:
        """Why alerts neither begin nor end; None where they do. `now` is in seconds since 1970."""
        return self._why_not_read(now) or self._why_behind()

    def _why_not_read(self, now: float) -> str | None:
        if self.reading is None:
            return self.problem or "the ledger was not read yet"
        age = now - self.reading.read_at
        if age > READING_SECONDS_MAX:
            return self.problem or f"the ledger was last read {age:.0f} s ago"
        return None

    def _why_behind(self) -> str | None:
        if self.lag_records is None:
            return "how many rollups wait to be read is not known"
        if self.lag_records > CAUGHT_UP_RECORDS:
            return f"{self.lag_records:,} rollups wait to be read"
        return None

    def overview(self) -> view.Json:
        """What the page shows of the monitor and of all campaigns."""
        now = time.time()
        return {
            "at": now,
            "recovering": not self._source.ready,
            "whole_day": False,
            "not_ready": self.why_not_ready(),
            "problem": self.problem,
            "alerts_frozen": self.why_frozen(now),
            "reading_at": None if self.reading is None else self.reading.read_at,
            "demand_lag_records": self.lag_records,
            "lags": [] if self.reading is None else [lag.as_json() for lag in self.reading.lags],
            "alerts": view.alert_lines(self.standing.values()),
            "campaigns": [
                view.in_short(one) for one in view.by_interest(self.outlooks.values(), self.standing.values(), now)
            ],
        }

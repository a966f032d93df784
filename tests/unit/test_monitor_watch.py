"""The monitor's rounds: what a campaign's end, another monitor and old figures do to its alerts."""

import asyncio
import os
import signal
import time
from collections.abc import Collection, Iterable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from tests.unit.demand_given import START, demand, facts, record, row
from voucher_ledger.monitor import command, view, watch
from voucher_ledger.monitor import web as monitor_web
from voucher_ledger.monitor.alert_records import Record
from voucher_ledger.monitor.alerts import CLEAR_SECONDS
from voucher_ledger.monitor.demand import decode
from voucher_ledger.monitor.facts import Facts, Lag, Reading
from voucher_ledger.monitor.moments import STILL_SECONDS
from voucher_ledger.monitor.store import Store
from voucher_ledger.monitor.watch import READING_SECONDS_MAX, Watch

ENDS = 21_600


class Given:
    """Demand and ledger as a test has them, and a Watch of both; times are seconds after START."""

    def __init__(self, *campaigns: Facts) -> None:
        self.store = Store()
        self.ready = True
        self.partitions_total = 1
        self.unpublished: int | None = 0
        self.lag: int | None = 0
        self.campaigns = {one.campaign_id: one for one in campaigns}
        self.wanted: list[str] = []
        self.told: list[tuple[str, str, str, str]] = []
        self._batches = 0
        self.watch = self.started_again()

    def started_again(self) -> Watch:
        """A monitor that holds the same demand, and remembers nothing else."""
        self.watch = Watch(self, self._read, self._tell, {}, lambda _: {})
        return self.watch

    def partitions(self) -> list[int]:
        return [0]

    def lag_records(self) -> int | None:
        return self.lag

    def reading(self, at: float) -> Reading:
        return Reading(START + at, self.campaigns, (Lag("claim.commands", 0, 0.0, self.unpublished),))

    def _read(self, wanted: Collection[str]) -> Reading:
        self.wanted = [*wanted]
        return self.reading(0)

    def sees(self, *rows: dict[str, Any]) -> None:
        self._batches += 1
        self.store.count(0, demand(rows, self._batches))

    def round(self, at: float) -> list[tuple[str, str, str, str]]:
        """What this round told: the campaign, the alert, its subject and its state."""
        self.told.clear()
        self.watch.reading = self.reading(at)
        asyncio.run(self.watch.round(START + at))
        return sorted(self.told)

    def rounds(self, moments: Iterable[float]) -> list[tuple[str, str, str, str]]:
        return [change for at in moments for change in self.round(at)]

    async def _tell(self, record: Record) -> None:
        event = orjson.loads(record.value)
        told = event["data"]
        self.told.append((told["campaign_id"], told["alert"], told["subject"], event["type"].removeprefix("alert.")))


def sold_out() -> Given:
    """All cards were granted in the first hundred seconds."""
    given = Given(facts(cards_left=0, cards_out=1_000, budget_left_minor=0))
    given.sees(*[row(at, count=10) for at in range(100)])
    return given


def test_what_a_campaign_was_alarming_for_is_over_with_it_for_good() -> None:
    given = sold_out()
    assert ("grey", "ends_before_plan", "cards", "firing") in given.round(ENDS / 2)
    # Gone is gone until the end: five minutes before it nothing is better than it was.
    assert given.rounds([ENDS - 2, ENDS, ENDS + CLEAR_SECONDS - 3]) == []
    ended = given.rounds([ENDS + CLEAR_SECONDS])
    assert ended == [
        ("grey", alert, subject, "resolved")
        for alert, subject in (
            ("budget", "80"),
            ("budget", "95"),
            *(("ends_before_plan", name) for name in ("budget", "cards")),
        )
    ]
    assert given.rounds(range(ENDS + 100, ENDS + 3_000, 60)) == []
    given.started_again()
    assert given.rounds(range(ENDS + 3_000, ENDS + 6_000, 60)) == [], "nor to one that starts after the end"


def test_a_campaign_that_is_replayed_after_its_end_is_judged_by_its_own_time() -> None:
    given = sold_out()
    later = 5 * ENDS
    assert given.round(later) == []
    given.sees(row(100, "voucher.rejected", 10, reason="sold_out"))
    told = given.round(later + 1)
    assert ("grey", "ends_before_plan", "cards", "firing") in told
    assert given.watch.outlooks["grey"].as_of == START + 101
    assert given.rounds([later + STILL_SECONDS]) == []
    ended = given.rounds([later + 1 + STILL_SECONDS, later + 2 + 2 * STILL_SECONDS])
    assert ended == [(*change[:3], "resolved") for change in told]
    assert given.watch.outlooks["grey"].as_of == START + ENDS


def test_what_fires_of_a_campaign_that_nobody_knows_any_more_is_over() -> None:
    given = sold_out()
    assert len(given.round(300)) == 4
    given.campaigns, given.store = {}, Store()
    assert [change[3] for change in given.round(301 + CLEAR_SECONDS)] == ["resolved"] * 4


def test_a_reading_leaves_out_no_campaign_with_demand_and_none_whose_alerts_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = sold_out()
    given.store.count(0, decode(record([row(200, count=2), row(299)], 1, campaign_id="flash")))
    given.store.count(0, decode(record([row(200), row(299)], 1, campaign_id="less")))
    monkeypatch.setattr(watch, "WANTED_MAX", 2)
    given.round(300)
    # Alerts of `grey` stand; the ledger has told of neither of the others yet.
    asyncio.run(given.watch.read())
    assert given.wanted == ["grey", "flash"]


class Recovering(Given):
    """A monitor whose start does not end. It is stopped once a round has asked whether demand is there."""

    crash_reason = None

    def __init__(self) -> None:
        self.app = self
        self.asked = asyncio.Event()
        self.is_stopped = False
        super().__init__()

    @property
    def ready(self) -> bool:
        self.asked.set()
        return False

    @ready.setter
    def ready(self, value: bool) -> None:
        """It never is."""

    async def start(self) -> None:
        await self.asked.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.is_stopped = True

    async def keep(self) -> None:
        await asyncio.Event().wait()

    async def flushes(self) -> None:
        await asyncio.Event().wait()

    def flush(self) -> None:
        """Nothing was counted."""


def test_a_long_recovery_is_alive_says_so_and_heeds_a_signal() -> None:
    given: Any = Recovering()
    settings: Any = SimpleNamespace(monitor_address="127.0.0.1:0")
    begun = given.watch.round_at
    asyncio.run(asyncio.wait_for(command._run(settings, given, given.watch, given), 10))
    assert given.is_stopped
    assert given.watch.round_at > begun
    assert given.watch.why_not_ready() == "demand is being recovered from the changelog"


def test_a_ledger_that_hangs_is_not_ready_though_nothing_failed() -> None:
    given = Given()
    given.watch.reading = given.reading(0)
    assert (given.watch.why_not_ready() or "").startswith("the ledger was last read ")
    given.watch.reading = replace(given.watch.reading, read_at=time.time())
    assert given.watch.why_not_ready() is None
    given.watch.problem = "Postgres does not answer"
    assert given.watch.why_not_ready() is None, "its figures are young still"
    given.watch.reading = replace(given.watch.reading, read_at=time.time() - READING_SECONDS_MAX - 1)
    assert given.watch.why_not_ready() == "Postgres does not answer"


def test_a_campaign_whose_demand_another_monitor_reads_is_not_looked_at() -> None:
    given = Given(facts(), facts(campaign_id="other", cards_left=900, cards_out=100))
    given.sees(row(0, count=5))
    given.round(60)
    assert given.watch.outlooks["other"].reconciliation is None, "no demand is no difference"
    given.partitions_total = 2
    given.round(61)
    assert [*given.watch.outlooks] == ["grey"]


def test_a_difference_neither_ends_nor_begins_anew_while_it_cannot_be_told() -> None:
    given = Given(facts(cards_left=900, cards_out=100))
    given.sees(row(0, count=50))
    assert given.round(60) == []
    given.unpublished = None
    assert given.round(75) == []
    given.unpublished = 0
    assert given.round(90) == [("grey", "reconciliation", "cards", "firing")]
    given.unpublished = None
    assert given.rounds([100, 300, 500]) == []
    given.unpublished, given.campaigns = 0, {"grey": facts(cards_left=950, cards_out=50)}
    assert given.round(501) == [("grey", "reconciliation", "cards", "resolved")]


def test_a_campaign_is_drawn_once_a_round_however_many_look_on(monkeypatch: pytest.MonkeyPatch) -> None:
    given, drawing = sold_out(), Mock(wraps=view.in_full)
    monkeypatch.setattr(view, "in_full", drawing)

    async def looks(client: TestClient[web.Request, web.Application]) -> list[dict[str, Any]]:
        answers = [await client.get("/state.json?campaign=grey") for _ in range(3)]
        return [orjson.loads(await answer.read()) for answer in answers]

    async def look() -> None:
        application = monitor_web.application(given.watch, CollectorRegistry())
        async with TestClient(TestServer(application)) as client:
            for at in (200, 300):
                given.watch.reading = given.reading(at)
                await given.watch.round(START + at)
                states = await looks(client)
                assert [state["campaign"]["as_of"] for state in states] == [START + at] * 3

    asyncio.run(look())
    assert drawing.call_count == 2

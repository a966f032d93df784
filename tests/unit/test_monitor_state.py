"""What /state.json and the report give of a campaign, through the serialisation that they use."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from tests.unit.demand_given import FACE_MINOR, START, facts, kept_after, row, seen
from tests.unit.test_monitor_watch import Given
from voucher_ledger.monitor import view, watch
from voucher_ledger.monitor import web as monitor_web
from voucher_ledger.monitor.forecast import Tranche
from voucher_ledger.monitor.watch import CAUGHT_UP_RECORDS
from voucher_ledger.report.page import page

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TRANCHES = (Tranche(START, 600), Tranche(START + 3_600, 400))


def states_of(given: Given, count: int = 1) -> list[dict[str, Any]]:
    """The answers of /state.json for the campaign `grey`, each after a round a second later."""

    async def ask() -> list[dict[str, Any]]:
        application = monitor_web.application(given.watch, CollectorRegistry())
        found = []
        async with TestClient(TestServer(application)) as client:
            for at in range(200, 200 + count):
                given.watch.reading = given.reading(at)
                await given.watch.round(START + at)
                answer = await client.get("/state.json?campaign=grey")
                assert answer.status == 200
                found.append(orjson.loads(await answer.read()))
        return found

    return asyncio.run(ask())


def test_a_paced_campaign_is_shown_on_the_page() -> None:
    given = Given(facts(tranches=TRANCHES))
    given.sees(row(0, count=5))
    (state,) = states_of(given)
    assert state["campaign_problem"] is None
    assert state["campaign"]["facts"]["tranches"] == [
        {"at": START, "quota": 600},
        {"at": START + 3_600, "quota": 400},
    ]


def test_a_paced_campaign_is_written_to_a_report() -> None:
    one = seen(row(0, count=5), facts=facts(tranches=TRANCHES), at=60)
    text = page({"campaign": view.in_full(one, kept_after(row(0, count=5)))}, "Report")
    state = orjson.loads(text.partition('id="state">')[2].partition("</script>")[0])
    assert state["campaign"]["facts"]["tranches"][1] == {"at": START + 3_600, "quota": 400}


def test_a_campaign_that_cannot_be_shown_takes_no_other_from_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Given(facts(), facts(campaign_id="other"))
    given.sees(row(0, count=5))
    monkeypatch.setattr(view, "in_full", Mock(side_effect=[TypeError("no"), TypeError("no"), {"drawn": True}]))
    with capture_logs() as logged:
        first, _, third = states_of(given, 3)
    assert {one["campaign_id"] for one in first["campaigns"]} == {"grey", "other"}
    assert (first["campaign"], first["campaign_problem"]) == (None, "grey cannot be shown: the monitor's log says why")
    assert (third["campaign"], third["campaign_problem"]) == ({"drawn": True}, None)
    failures = [one for one in logged if one["log_level"] == "error"]
    assert [(one["campaign"], one["exc_info"]) for one in failures] == [("grey", True)], "with its traceback, once"


@pytest.mark.parametrize(
    ("lag", "why"),
    [
        (CAUGHT_UP_RECORDS, None),
        (CAUGHT_UP_RECORDS + 1, "1,001 rollups wait to be read"),
        (None, "how many rollups wait to be read is not known"),
    ],
)
def test_alerts_that_stand_still_are_told_as_that(
    lag: int | None, why: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Given(facts(cards_left=0, cards_out=1_000, budget_left_minor=0))
    given.sees(row(0, count=1_000))
    given.lag = lag
    monkeypatch.setattr(watch, "time", SimpleNamespace(time=lambda: START + 200.0, monotonic=time.monotonic))
    (state,) = states_of(given)
    assert (state["not_ready"], state["alerts_frozen"]) == (None, why)
    assert bool(state["alerts"]) == (why is None), "nothing began, though cards and budget are gone"
    given.watch.reading = given.reading(200 - watch.READING_SECONDS_MAX - 1)
    assert given.watch.overview()["alerts_frozen"] == "the ledger was last read 31 s ago"


def test_the_page_tells_what_can_be_claimed_when_more_comes_and_who_waits() -> None:
    told = facts(tranches=TRANCHES, cards_left=500, cards_out=500, waiting=7, waiting_since=START + 40.0)
    rows = [row(0, count=500)]
    assert view.in_full(seen(*rows, facts=told, at=100), kept_after(*rows))["release"] == {
        "claimable": 100, "next": {"at": START + 3_600, "quota": 400}, "waiting": 7, "waiting_seconds": 60.0
    }  # fmt: skip
    later = view.release(told, START + 3_600)
    assert (later["claimable"], later["next"]) == (500, None)
    poor = view.release(facts(budget_left_minor=3 * FACE_MINOR), START)
    assert (poor["claimable"], poor["waiting"], poor["waiting_seconds"]) == (3, 0, None)


def test_a_report_of_a_few_seconds_has_a_demand_curve() -> None:
    rows = [row(1, count=6), row(2, "voucher.rejected", 3, reason="sold_out")]
    one = seen(*rows, facts=facts(), at=3)
    assert view.in_full(one, kept_after(*rows))["recent"]["at"] == [], "the page shows it a moment later"
    told = view.in_full(one, kept_after(*rows), with_running=True)
    assert (told["recent"]["at"], told["recent"]["granted"], told["recent"]["refused"]) == ([START], [2.0], [1.0])
    assert (told["minutes"]["at"], told["minutes"]["granted"]) == ([START], [2.0])
    longer = [*rows, row(62, count=12)]
    told = view.in_full(seen(*longer, facts=facts(), at=63), kept_after(*longer), with_running=True)
    assert told["minutes"]["granted"] == [0.1, 4.0]
    assert (told["recent"]["at"][-1], told["recent"]["granted"][-1]) == (START + 60, 4.0)

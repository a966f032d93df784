"""What the page is given: which campaign first, figures of now, and nothing foretold from figures of two times."""

import asyncio
from typing import Any

import pytest

from tests.unit.demand_given import START, facts, given_out, kept_after, row, seen
from tests.unit.test_monitor_watch import Given
from voucher_ledger.monitor import outlook, view
from voucher_ledger.monitor.alerts import Condition, Key, Standing, as_they_are, conditions
from voucher_ledger.monitor.facts import READING_SECONDS_YOUNG
from voucher_ledger.monitor.outlook import Outlook
from voucher_ledger.monitor.watch import CAUGHT_UP_RECORDS, READING_SECONDS_MAX

STEADY = [row(at, count=2) for at in range(60)]


def running(lag: int | None = 0) -> Given:
    given = Given(given_out(120))
    given.sees(*STEADY)
    given.lag = lag
    return given


@pytest.mark.parametrize("lag", [CAUGHT_UP_RECORDS + 1, None])
def test_nothing_is_foretold_by_old_demand_and_the_balances_of_now(lag: int | None) -> None:
    given = running()
    given.round(60)
    assert given.watch.outlooks["grey"].cards_end is not None
    given.lag = lag
    given.round(61)
    found = given.watch.outlooks["grey"]
    assert (found.rates, found.cards_end, found.budget_end) == (None, None, None)
    assert found.planned_granted is not None
    assert found.total["types"]


def by_a_reading_of(given: Given, at: float, now: float) -> Outlook:
    given.watch.reading = given.reading(at)
    asyncio.run(given.watch.round(START + now))
    return given.watch.outlooks["grey"]


@pytest.mark.parametrize(
    ("now", "as_of"), [(64, 64), (65, 65), (66, 65), (500, 65)], ids=["young", "still young", "old", "very old"]
)
def test_silence_is_demand_no_longer_than_the_ledger_was_read(now: int, as_of: int) -> None:
    assert READING_SECONDS_YOUNG == 5.0
    found = by_a_reading_of(running(), 60, now)
    assert found.as_of == START + as_of
    assert (found.cards_end is None) == (now > 60 + READING_SECONDS_MAX), "by what is too old nothing is foretold"


def test_the_rate_of_now_falls_to_nothing_when_nothing_is_granted() -> None:
    def shown(at: int, *more: dict[str, Any]) -> dict[str, Any]:
        rows = [*STEADY, *more]
        return view.in_full(seen(*rows, facts=given_out(120), at=at), kept_after(*rows))

    assert [shown(at)["net_recent"] for at in (60, 65, 70)] == [2.0, 1.0, 0.0]
    assert shown(75)["rates"]["middle"] > 1.0, "the trend of ten minutes goes on"
    assert shown(60, row(58, "voucher.expired", 30))["net_recent"] == -1.0


def test_the_figures_of_the_day_are_of_all_its_demand() -> None:
    rush = [
        row(0, count=30), row(1, "voucher.rejected", 70, reason="sold_out"),
        row(1, "voucher.rejected", 9, reason="not_started"), row(2, "order.reserved", 20, high_ticket=5),
    ]  # fmt: skip
    rows = [*rush, row(3_600, "voucher.expired", 1)]
    shown = view.in_full(seen(*rows, facts=given_out(29), at=3_601), kept_after(*rows))
    assert (shown["refusals"][0]["share"], shown["high_ticket_share"]) == (0.0, 0.0)
    claims = shown["day"]["refusals"][0]
    assert (claims["share"], claims["top_reason"], claims["early"]) == (0.7, "sold_out", 9)
    assert shown["day"]["high_ticket_share"] == 0.25


def stands(campaign_id: str, *, told: bool = True) -> Standing:
    return Standing(Condition(Key(campaign_id, "budget", "95"), "critical", "", 1, 1, "share"), 0.0, 0.0, told)


def test_the_page_opens_on_a_campaign_that_runs_and_needs_somebody() -> None:
    def one(name: str, demand: int, **changes: Any) -> Outlook:
        kept = kept_after(*(row(at) for at in range(100, 100 + demand))) if demand else {}
        told = None if name == "unknown" else facts(campaign_id=name, **changes)
        return outlook.look(name, kept, told, START + 200, 0)

    given = [
        one("closed", 90, state="closed"), one("over", 80, ends_at=START + 150), one("unknown", 99),
        one("to come", 0, starts_at=START + 300), one("quiet", 0), one("quiet alert", 0), one("busy", 50),
        one("less busy", 40), one("busy alert", 30),
    ]  # fmt: skip
    standing = [stands(name) for name in ("closed", "quiet alert", "busy alert")] + [stands("less busy", told=False)]
    found = [shown.campaign_id for shown in view.by_interest(given, standing, START + 200)]
    assert found == [
        "busy alert", "busy", "less busy", "quiet alert", "quiet", "to come", "unknown", "closed", "over"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("currency", "text"), [("CNY", "175 CNY left"), ("JPY", "17.5 k JPY left"), ("KWD", "17.5 KWD left")]
)
def test_alerts_speak_of_money_as_the_tiles_do(currency: str, text: str) -> None:
    told = facts(currency=currency, budget_left_minor=17_500)
    found = [one.summary for one in conditions(seen(facts=told, at=60)) if one.key.alert == "budget"]
    assert found == [f"99.3% of the budget is used: {text}"] * 2


def test_a_report_tells_its_alerts_with_the_figures_of_its_tiles() -> None:
    holding = conditions(seen(facts=facts(budget_left_minor=0), at=60))
    at_80 = next(one for one in holding if one.key.subject == "80")
    before = Condition(at_80.key, "critical", "80.1% of the budget is used", 0.801, 0.8, "share")
    over = Condition(Key("grey", "refusals", "claims"), "warning", "as it was", 0.6, 0.5, "share")
    found = as_they_are([Standing(one, 5.0, 5.0, told=True) for one in (before, over)], holding)
    assert [one.condition.summary for one in found] == ["100.0% of the budget is used: 0 CNY left", "as it was"]
    assert (found[0].condition.severity, found[0].since) == ("critical", 5.0)

"""What is gone, since when, and what ends first: an alert says what happened, and is over when that is."""

import pytest

from tests.unit.demand_given import FACE_MINOR, START, facts, given_out, kept_after, row, seen
from tests.unit.test_monitor_watch import ENDS, sold_out
from voucher_ledger.monitor.alerts import CLEAR_SECONDS, Condition, conditions
from voucher_ledger.monitor.buckets import SECONDS_KEPT_MINUTES
from voucher_ledger.monitor.facts import Facts
from voucher_ledger.monitor.gone import gone_at
from voucher_ledger.monitor.outlook import TOGETHER_SECONDS

GRANTS = [row(at, count=10) for at in range(100)]
SOLD_OUT = [row(at, "voucher.rejected", 5, reason="sold_out") for at in range(100, 7_200, 30)]


def ending(found: list[Condition]) -> dict[str, str]:
    return {one.key.subject: one.summary for one in found if one.key.alert == "ends_before_plan"}


@pytest.mark.parametrize("at", [100, 3_600, 20_000])
def test_what_is_gone_went_when_the_last_was_granted(at: int) -> None:
    found = conditions(seen(*GRANTS, facts=given_out(1_000), at=at))
    assert ending(found) == {name: f"{name} gone: 6.0 h before the plan" for name in ("cards", "budget")}
    assert {one.value for one in found if one.key.alert == "ends_before_plan"} == {21_500.0}
    assert {one.severity for one in found if one.key.alert == "ends_before_plan"} == {"critical"}


def test_cards_that_come_back_and_go_again_do_not_change_when_they_went() -> None:
    again = [row(900, "voucher.expired", 20), row(905, count=20)]
    kept = kept_after(*GRANTS, *again)
    assert gone_at(kept["minute"], kept["quarter"], START + 1_000) == START + 100
    kept = kept_after(*GRANTS, *again, row(950, count=20))
    assert gone_at(kept["minute"], kept["quarter"], START + 1_000) == START + 951, "a top-up that was used up"


def test_when_it_went_is_told_by_what_is_still_held() -> None:
    kept = kept_after(*GRANTS, *SOLD_OUT)
    assert len(kept["minute"]) > SECONDS_KEPT_MINUTES
    minutes, quarters = kept["minute"], kept["quarter"]
    assert gone_at(minutes, quarters, START + 7_200) == START + 120, "the end of its minute"
    late = {start: bucket for start, bucket in minutes.items() if start >= START + 1_200}
    assert gone_at(late, quarters, START + 7_200) == START + 900, "the end of its quarter"
    assert gone_at(late, {}, START + 7_200) == START + 1_200, "before the first demand that is held"
    assert gone_at({}, {}, START + 7_200) is None


def test_an_alert_of_what_is_gone_stays_until_there_is_some_again() -> None:
    given = sold_out()
    given.campaigns = {"grey": facts(cards_left=0, cards_out=1_000, ends_at=START + 600)}
    assert ("grey", "ends_before_plan", "cards", "firing") in given.round(120)
    assert given.rounds(range(121, 600, 20)) == []
    given.campaigns = {"grey": facts(quota=1_500, cards_left=500, cards_out=1_000, ends_at=START + 600)}
    given.round(580)
    assert ("grey", "ends_before_plan", "cards", "resolved") in given.round(581 + CLEAR_SECONDS)


def test_what_goes_at_the_end_of_the_plan_is_no_news() -> None:
    given = sold_out()
    given.campaigns = {"grey": facts(cards_left=0, cards_out=1_000, ends_at=START + 390)}
    assert [one for one in given.rounds(range(120, 390, 30)) if one[1] == "ends_before_plan"] == []


def test_where_it_is_not_known_when_they_went_the_alert_stays_too() -> None:
    given = sold_out()
    given.round(ENDS / 2)
    given.store.campaigns([0])["grey"]["minute"].clear()
    assert given.watch.outlooks["grey"].gone_at == START + 100
    assert given.rounds(range(ENDS - 400, ENDS, 60)) == []
    assert given.watch.outlooks["grey"].gone_at is None


def two_a_second(cards_left: int, affordable: int) -> Facts:
    budget = 1_000 * FACE_MINOR
    return facts(cards_left=cards_left, cards_out=120, budget_minor=budget, budget_left_minor=affordable * FACE_MINOR)


@pytest.mark.parametrize(
    ("cards_left", "affordable", "told"),
    [
        (4_000, 10, {"budget"}),
        (10, 4_000, {"cards"}),
        (400, 400, {"cards", "budget"}),
        (400, 400 + 2 * TOGETHER_SECONDS, {"cards", "budget"}),
        (400, 402 + 2 * TOGETHER_SECONDS, {"cards"}),
        (404 + 2 * TOGETHER_SECONDS, 400, {"budget"}),
    ],
)
def test_only_what_ends_first_ends(cards_left: int, affordable: int, told: set[str]) -> None:
    fast = [row(at, count=2) for at in range(60)]
    found = seen(*fast, facts=two_a_second(cards_left, affordable), at=60)
    assert ending(conditions(found)).keys() == told
    assert {name for name, end in (("cards", found.cards_end), ("budget", found.budget_end)) if end} == told

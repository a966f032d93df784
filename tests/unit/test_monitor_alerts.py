"""Alerts: when one holds, that each beginning and each end is told once, and that the topic is their memory."""

from dataclasses import replace
from typing import Any

import jsonschema_rs
import orjson
import pytest

from tests.unit.demand_given import START, facts, given_out, row, seen
from voucher_ledger.core.schema_files import schema_root
from voucher_ledger.monitor.alert_records import encode, standing_after
from voucher_ledger.monitor.alerts import (
    CLEAR_SECONDS,
    PENDING_SECONDS,
    REFUSALS_ANSWERED_MIN,
    Change,
    Condition,
    Key,
    Standing,
    conditions,
    step,
)
from voucher_ledger.monitor.outlook import Outlook

NOW = 1_770_336_000.0
DAY = 86_400


def firing(outlook: Outlook) -> dict[tuple[str, str], str]:
    return {(one.key.alert, one.key.subject): one.severity for one in conditions(outlook)}


def test_a_campaign_that_will_end_before_its_plan() -> None:
    fast = [row(at, count=2) for at in range(60)]
    found = conditions(seen(*fast, facts=given_out(120), at=60))
    assert [(one.key.alert, one.key.subject, one.severity) for one in found] == [
        ("ends_before_plan", "cards", "critical"),
        ("ends_before_plan", "budget", "critical"),
    ]
    assert found[0].summary == "cards gone in 7 min, at 2026-02-06T00:08:20Z: 5.9 h before the plan"
    assert found[0].value == 21_600 - 60 - 440


def test_a_campaign_that_keeps_to_its_plan_is_quiet() -> None:
    steady = [row(at, count=1) for at in range(600)]
    for cards, alerts in ((21_600, 0), (20_600, 0), (20_400, 1)):  # a twentieth of the six hours is let pass
        told = facts(quota=cards, cards_left=cards - 600, cards_out=600, budget_left_minor=10**9, budget_minor=10**9)
        assert len(firing(seen(*steady, facts=told, at=600))) == alerts


def test_a_campaign_that_is_over_closed_or_unknown_is_quiet() -> None:
    fast = [row(at, count=2) for at in range(60)]
    for told in (None, facts(cards_left=0, state="closed"), facts(cards_left=0, ends_at=START + 59)):
        assert "ends_before_plan" not in {alert for alert, _ in firing(seen(*fast, facts=told, at=60))}


@pytest.mark.parametrize(
    ("used", "expected"),
    [(799, {}), (800, {"80": "warning"}), (949, {"80": "warning"}), (950, {"80": "warning", "95": "critical"})],
)
def test_the_budgets_thresholds(used: int, expected: dict[str, str]) -> None:
    found = firing(seen(facts=facts(budget_left_minor=(1_000 - used) * 2_500, cards_left=500, cards_out=0), at=300))
    assert {subject: severity for (alert, subject), severity in found.items() if alert == "budget"} == expected


def test_what_was_granted_past_the_budget_is_used() -> None:
    assert facts(budget_left_minor=0, overspent_minor=2_500_000).budget_used_share == 2.0
    assert facts(budget_minor=0, budget_left_minor=0).budget_used_share == 0.0


def test_a_vertical_above_three_times_the_day_before() -> None:
    rows = [row(0, "order.reserved", 100, category=name) for name in ("hotel", "flight")]
    rows += [row(DAY, "order.reserved", 301, category="hotel"), row(DAY, "order.reserved", 300, category="flight")]
    found = firing(seen(*rows, facts=facts(ends_at=START + 9 * DAY), at=DAY + 3_600))
    assert found == {("growth", "hotel"): "warning"}


@pytest.mark.parametrize(("refused", "granted", "fires"), [(51, 49, True), (50, 50, False), (50, 49, False)])
def test_the_share_of_refusals(refused: int, granted: int, fires: bool) -> None:
    assert REFUSALS_ANSWERED_MIN == 100
    rows = [row(0, "order.rejected", refused, reason="hold_expired"), row(0, "order.reserved", granted)]
    found = conditions(seen(*rows, facts=facts(), at=60))
    assert [one.summary for one in found] == (["51% of orders are refused, most as hold_expired"] if fires else [])


@pytest.mark.parametrize(("sold_out", "fires"), [(0, False), (60, True), (50, False)])
def test_who_comes_too_early_is_not_among_the_refusals(sold_out: int, fires: bool) -> None:
    early = [row(0, "voucher.rejected", 900, reason=reason) for reason in ("not_released", "not_started")]
    others = [row(0, "voucher.rejected", sold_out, reason="sold_out"), row(0, count=50)]
    found = seen(*early, *(others if sold_out else ()), facts=given_out(50 if sold_out else 0), at=60)
    told = [one.summary for one in conditions(found) if one.key.alert == "refusals"]
    assert told == (["55% of claims are refused, most as sold_out"] if fires else [])
    assert found.refusals[0].early == 1_800


def test_demand_and_ledger_that_differ() -> None:
    (found,) = conditions(seen(row(0, count=5), facts=given_out(7), at=300))
    assert (found.key.alert, found.value) == ("reconciliation", -2)
    assert found.summary == "5 cards are out by the demand counted, 7 by the ledger"


def condition(alert: str = "budget", value: float = 1.0, campaign_id: str = "grey") -> Condition:
    return Condition(Key(campaign_id, alert, "80"), "warning", f"at {value}", value, 0.8, "share")


class Told:
    """Steps one after another, as the monitor makes them."""

    def __init__(self) -> None:
        self.standing: dict[Key, Standing] = {}

    def at(self, seconds: float, *holding: Condition, looked_at: str = "grey") -> list[tuple[str, str]]:
        self.standing, changes = step(self.standing, [*holding], {looked_at}, NOW + seconds)
        return [(change.state, change.condition.summary) for change in changes]


def test_each_beginning_and_each_end_is_told_once() -> None:
    told = Told()
    assert told.at(0, condition()) == [("firing", "at 1.0")]
    assert told.at(1, condition(value=2.0)) == []
    assert told.at(2) == [], "it may hold again in a moment"
    assert told.at(3, condition(value=3.0)) == []
    assert told.at(3 + CLEAR_SECONDS - 1) == []
    assert told.at(3 + CLEAR_SECONDS) == [("resolved", "at 3.0")]
    assert told.at(4 + CLEAR_SECONDS) == []
    assert told.standing == {}
    assert told.at(99, condition()) == [("firing", "at 1.0")]


def test_a_difference_that_goes_away_is_never_told() -> None:
    told, pending = Told(), PENDING_SECONDS["reconciliation"]
    assert told.at(0, condition("reconciliation")) == []
    assert told.at(1) == []
    assert told.at(2, condition("reconciliation")) == []
    assert told.at(2 + pending - 1, condition("reconciliation")) == []
    assert told.at(2 + pending, condition("reconciliation")) == [("firing", "at 1.0")]


def test_a_forecast_is_told_once_it_held_and_what_is_gone_at_once() -> None:
    told, pending, fast = Told(), PENDING_SECONDS["ends_before_plan"], [row(at, count=2) for at in range(60)]
    foreseen = conditions(seen(*fast, facts=given_out(120), at=60))
    assert told.at(0, *foreseen) == told.at(pending - 1, *foreseen) == []
    assert told.at(pending - 1) == []
    assert told.at(pending, *foreseen) == [], "it begins again"
    assert len(told.at(2 * pending, *foreseen)) == len(foreseen) == 2
    gone = [one for one in conditions(seen(facts=facts(cards_left=0), at=60)) if one.key.alert == "ends_before_plan"]
    assert [change[0] for change in Told().at(0, *gone)] == ["firing"]


def test_what_becomes_critical_is_told_again_and_what_becomes_better_is_not() -> None:
    told, pending = Told(), PENDING_SECONDS["ends_before_plan"]
    warning = condition("ends_before_plan")
    critical = replace(warning, severity="critical", summary="soon")
    told.at(0, warning)
    assert told.at(pending, warning) == [("firing", "at 1.0")]
    # A trend that leaps for a moment is no rise.
    assert told.at(100, critical) == told.at(101, warning) == told.at(102, critical) == []
    assert told.standing[warning.key].condition.severity == "warning", "page and metrics say what was told"
    assert told.at(101 + pending, critical) == []
    assert told.at(102 + pending, critical) == [("firing", "soon")]
    assert told.at(103 + pending, critical) == told.at(104 + pending, warning) == told.at(400, critical) == []
    stands = told.standing[warning.key]
    assert (stands.since, stands.condition.severity) == (NOW, "critical")
    told.at(401, warning)
    _, changes = step(told.standing, [], {"grey"}, NOW + 401 + CLEAR_SECONDS)
    assert [(change.state, change.condition.severity, change.since) for change in changes] == [
        ("resolved", "critical", NOW)
    ]


def test_a_certain_rise_is_told_at_once() -> None:
    told = Told()
    warning = condition("ends_before_plan")
    told.at(0, warning)
    told.at(PENDING_SECONDS["ends_before_plan"], warning)
    gone = replace(warning, severity="critical", is_certain=True, summary="gone")
    assert told.at(100, gone) == [("firing", "gone")]


def test_a_rise_is_a_record_of_its_own_and_a_restart_remembers_it() -> None:
    warning = condition("ends_before_plan")
    critical = replace(warning, severity="critical")
    values = [encode(Change("firing", one, NOW), NOW + 9).value for one in (warning, critical)]
    events = [orjson.loads(value) for value in values]
    assert [one["data"]["severity"] for one in events] == ["warning", "critical"]
    assert len({one["id"] for one in events}) == 2
    for holding in (critical, warning):
        told = Told()
        told.standing = standing_after(values, NOW + 50)
        assert [told.at(50 + later, holding) for later in (1, 300)] == [[], []]
        assert told.standing[warning.key].condition.severity == "critical"
    told = Told()
    told.standing = standing_after(values[:1], NOW + 50)
    told.at(51, critical)
    assert told.at(300, critical) == [("firing", "at 1.0")], "what rose while no monitor ran"


def test_alerts_of_a_campaign_that_was_not_looked_at_stay() -> None:
    told = Told()
    told.at(0, condition())
    assert told.at(9_999, looked_at="other") == []
    assert told.at(9_999) == [("resolved", "at 1.0")]


def schema(state: str) -> jsonschema_rs.Draft202012Validator:
    common = orjson.loads((schema_root() / "common.json").read_bytes())
    registry = jsonschema_rs.Registry([(common["$id"], common)])
    text = (schema_root() / "alerts" / f"alert.{state}.json").read_bytes()
    return jsonschema_rs.Draft202012Validator(orjson.loads(text), registry=registry, validate_formats=True)


def every_alert() -> list[Condition]:
    growing = [row(0, "order.reserved", 100, category="hotel"), row(DAY, "order.reserved", 400, category="hotel")]
    refused = [row(DAY + 3_599, "voucher.rejected", 400, reason="sold_out")]
    granted = [row(DAY + 3_590, "voucher.granted", 10), row(0, "voucher.granted", 10)]
    told = facts(ends_at=START + 9 * DAY, cards_left=0, budget_left_minor=0, cards_out=1_000)
    return conditions(seen(*growing, *refused, *granted, facts=told, at=DAY + 3_600))


def test_every_alert_keeps_its_schema_whose_examples_do_too() -> None:
    found = every_alert()
    assert {one.key.alert for one in found} == {"ends_before_plan", "budget", "growth", "refusals", "reconciliation"}
    for state in ("firing", "resolved"):
        validator = schema(state)
        document: dict[str, Any] = orjson.loads((schema_root() / "alerts" / f"alert.{state}.json").read_bytes())
        for example in document["examples"]:
            validator.validate(example)
        for one in found:
            key, value = encode(Change("firing" if state == "firing" else "resolved", one, NOW), NOW + 1)
            validator.validate(orjson.loads(value))
            assert key == b"grey"


def test_the_topic_is_the_memory_of_what_fires() -> None:
    first, second = condition(), condition(campaign_id="other")
    values = [
        encode(Change("firing", first, NOW), NOW).value,
        b"not ours",
        b'{"type":"alert.firing"}',
        encode(Change("firing", second, NOW), NOW + 5).value,
        encode(Change("resolved", first, NOW), NOW + 9).value,
    ]
    assert standing_after(values, NOW + 50) == {second.key: Standing(second, since=NOW, held_at=NOW + 50, told=True)}
    told = Told()
    told.standing = standing_after(values, NOW + 50)
    assert told.at(51, second, looked_at="other") == [], "told before the restart"

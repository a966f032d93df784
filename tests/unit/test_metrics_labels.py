"""Labels of metrics: from bounded sets, whose places are given on once nobody uses them."""

import pytest
from prometheus_client import CollectorRegistry

from tests.unit.test_metrics import decided, reserved, value
from voucher_ledger.metrics import catalogue
from voucher_ledger.metrics.labels import (
    CAMPAIGNS_MAX,
    CATEGORIES_MAX,
    DEAD_LETTER_CLASSES,
    IDLE_SECONDS_MIN,
    Bounded,
    dead_letter_class,
)
from voucher_ledger.metrics.readiness import Readiness
from voucher_ledger.metrics.room import RoomMetrics


def test_bounded_lets_the_first_in() -> None:
    bounded = Bounded(2, pytest.fail, lambda: 0.0)
    assert [bounded.let_in(name) for name in ("a", None, "", "b", "c", "a")] == ["a", "", "", "b", "other", "a"]
    assert [bounded.known(name) for name in ("a", "c", None)] == ["a", "other", ""]


def test_the_value_that_was_idle_longest_gives_its_place_up_and_only_after_an_hour() -> None:
    now_seconds, freed = [0.0], list[str]()
    bounded = Bounded(3, freed.append, lambda: now_seconds[0])
    for name in ("a", "b", "c"):
        bounded.let_in(name)
    now_seconds[0] = 1.0
    bounded.let_in("a")
    bounded.known("b")
    now_seconds[0] = IDLE_SECONDS_MIN - 1
    assert (bounded.let_in("d"), freed) == ("other", [])
    now_seconds[0] = IDLE_SECONDS_MIN
    # `b` and `c` are idle as long: the one that came first goes. Of the next, `c` is; `a` was used since.
    assert (bounded.let_in("d"), bounded.let_in("e"), bounded.let_in("f")) == ("d", "e", "other")
    assert freed == ["b", "c"]
    assert [bounded.known(name) for name in ("a", "b", "c", "d", "e")] == ["a", "other", "other", "d", "e"]


def test_a_campaign_that_gives_its_place_up_takes_its_series_with_it() -> None:
    registry, now_seconds = CollectorRegistry(), [0.0]
    metrics = RoomMetrics("orders", registry, Readiness())
    metrics._campaigns._clock = metrics._categories._clock = lambda: now_seconds[0]

    def told(label: str) -> set[str]:
        samples = (sample for family in registry.collect() for sample in family.samples)
        return {sample.labels[label] for sample in samples if sample.labels.get(label)}

    decided(metrics, *[reserved(f"c{number}", "v1") for number in range(CAMPAIGNS_MAX)])
    decided(metrics, *[reserved("c1", f"v{number}") for number in range(CATEGORIES_MAX)])
    assert len(told("campaign")) == CAMPAIGNS_MAX
    now_seconds[0] = IDLE_SECONDS_MIN
    decided(metrics, *[reserved(f"c{number}", "v1") for number in range(1, CAMPAIGNS_MAX)])
    decided(metrics, *[reserved("c1", f"v{number}") for number in range(1, CATEGORIES_MAX)])
    decided(metrics, reserved("new", "new"))
    assert told("campaign") == {f"c{number}" for number in range(1, CAMPAIGNS_MAX)} | {"new"}
    assert "v0" not in told("category")
    place = {"type": "order.reserved", "campaign": "new", "category": "new", "city_tier": "3"}
    assert value(registry, catalogue.SEGMENTS, **place) == 1
    # Who comes back begins anew, in the place of nobody: all others were used.
    decided(metrics, reserved("c0", "v0"))
    assert told("campaign") == {f"c{number}" for number in range(1, CAMPAIGNS_MAX)} | {"new", "other"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("the decision failed: ZeroDivisionError: planted", "decision_failed"),
        ("the record's timestamp -1 ms is not between the years 1970 and 9000", "timestamp"),
        ("the value is null; a command is a JSON object", "no_value"),
        ("70,000 bytes; at most 65,536", "too_large"),
        ("not JSON: unexpected end at byte 3; its headers are left out: the name of one is not UTF-8", "not_json"),
        ("the record is a list, not an object with CloudEvents attributes", "not_an_object"),
        ("the record is nested too deep; no command has more than three levels below data", "schema"),
        ('unknown type "x"; claim.commands takes voucher.claim', "unknown_type"),
        ('key "ana" is not data.user_id "bob"', "wrong_key"),
        ("data.user_id is missing", "schema"),
    ],
)
def test_a_dead_letters_reason_is_one_of_few_classes(error: str, expected: str) -> None:
    assert dead_letter_class(error) == expected
    assert expected in DEAD_LETTER_CLASSES

"""Users across verticals: when they are counted, what is shown, and what is not once it is too costly."""

import asyncio
from collections.abc import Collection, Mapping
from typing import Any

from tests.unit.demand_given import START, facts, row
from tests.unit.test_monitor_watch import Given
from voucher_ledger.monitor import crossing_watch, metrics
from voucher_ledger.monitor.buckets import merged
from voucher_ledger.monitor.crossing import Crossing, TooCostly
from voucher_ledger.monitor.crossing_watch import CrossingWatch
from voucher_ledger.runtime.errors import Unreachable

FOUND = Crossing({"1": 70, "2": 20, "3+": 10}, [("film", "hotel", 12), ("flight", "hotel", 9)])


class Counting:
    """A count that answers, or raises, what it is given in turn."""

    def __init__(self, *answers: Crossing | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[Collection[str]] = []

    def __call__(self, campaign_ids: Collection[str]) -> Mapping[str, Crossing]:
        self.asked.append(campaign_ids)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"grey": answer}


def once(watch: CrossingWatch) -> float:
    return asyncio.run(watch.count_once(["grey"]))


def test_what_was_counted_is_shown_as_it_is() -> None:
    watch = CrossingWatch(Counting(FOUND), lambda: ["grey"])
    assert watch.as_json("grey") == {"at": None, "problem": None}
    assert once(watch) == crossing_watch.EVERY_SECONDS
    shown = watch.as_json("grey")
    assert shown["users"] == {"1": 70, "2": 20, "3+": 10}
    assert shown["pairs"][0] == {"first": "film", "second": "hotel", "users": 12}
    assert shown["at"] is not None
    assert "users" not in watch.as_json("another")


def test_a_slow_count_is_followed_by_a_longer_rest() -> None:
    moments = iter([100.0, 104.0])
    watch = CrossingWatch(Counting(FOUND), lambda: ["grey"], lambda: next(moments))
    assert once(watch) == 4.0 / crossing_watch.SHARE_OF_TIME_MAX


def test_what_is_too_costly_rests_and_shows_nothing_old() -> None:
    watch = CrossingWatch(Counting(FOUND, TooCostly("2,000,000 orders"), FOUND), lambda: ["grey"])
    once(watch)
    assert once(watch) == crossing_watch.TOO_COSTLY_REST_SECONDS
    assert watch.as_json("grey") == {"at": None, "problem": "2,000,000 orders"}
    once(watch)
    assert watch.as_json("grey")["problem"] is None
    assert watch.as_json("grey")["users"]["2"] == 20


def test_while_postgres_is_away_the_last_count_stays_and_says_so() -> None:
    watch = CrossingWatch(Counting(FOUND, Unreachable("Postgres does not answer")), lambda: ["grey"])
    once(watch)
    assert once(watch) == crossing_watch.EVERY_SECONDS
    shown = watch.as_json("grey")
    assert (shown["users"]["1"], shown["problem"]) == (70, "Postgres does not answer")


def test_only_campaigns_with_orders_are_counted() -> None:
    given = Given(facts(), facts(campaign_id="without orders"))
    given.sees(row(0, count=5))
    given.round(60)
    wanted = given.watch.crossing._wanted
    assert [*wanted()] == []
    given.sees(row(1, "order.reserved", category="film"))
    given.round(61)
    assert [*wanted()] == ["grey"]


def test_it_is_told_as_metrics_and_of_known_campaigns_only() -> None:
    given = Given(facts())
    given.round(60)
    registry = metrics.registry(given.watch, given.store)
    name = f"{metrics.PREFIX}_{metrics.ORDERING_USERS.name}"
    assert registry.get_sample_value(name, {"campaign": "grey", "verticals": "2"}) is None
    given.watch.crossing.found = {"grey": FOUND, "gone": FOUND}
    given.watch.crossing.counted_at = START + 60.0
    assert registry.get_sample_value(name, {"campaign": "grey", "verticals": "2"}) == 20
    assert registry.get_sample_value(name, {"campaign": "gone", "verticals": "2"}) is None
    pair = {"campaign": "grey", "first": "film", "second": "hotel"}
    assert registry.get_sample_value(f"{metrics.PREFIX}_{metrics.PAIR_USERS.name}", pair) == 12
    assert registry.get_sample_value(f"{metrics.PREFIX}_{metrics.CROSSING_AT.name}") == START + 60


def test_a_changelog_of_before_with_cells_of_four_is_read() -> None:
    old: Any = {
        "seen": {}, "types": {"order.reserved": [2, 700, 1, 0]}, "reasons": {}, "categories": {}, "tiers": {},
        "seconds": {},
    }  # fmt: skip
    assert merged([old, old])["types"] == {"order.reserved": [4, 1_400, 2]}

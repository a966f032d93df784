"""How long an early warning is held: after a restart, and where all is gone soon."""

from tests.unit.demand_given import START, facts, given_out, kept_after, row
from tests.unit.test_monitor_watch import Given
from voucher_ledger.monitor import outlook
from voucher_ledger.monitor.alerts import PENDING_SECONDS, Condition, Key, Standing, conditions, pending_seconds
from voucher_ledger.monitor.held_before import STEP_SECONDS, facts_at, held_before

CARDS = ("grey", "ends_before_plan", "cards", "firing")
WINDOWS_SECONDS = 40


class Rush(Given):
    """So many cards are granted a second, second by second, from the campaign's start on."""

    def __init__(self, a_second: int) -> None:
        super().__init__(facts())
        self.a_second = a_second
        self.seconds = 0
        self.left = 1_000

    def until(self, at: int) -> int | None:
        """Go on to `at`, with a round each second; the second in which the alert of the cards was told."""
        while self.seconds < at:
            self.passes(self.seconds + 1)
            if CARDS in self.round(self.seconds):
                return self.seconds
        return None

    def passes(self, at: int) -> None:
        """Demand goes on to `at`, and nobody looks."""
        while self.seconds < at:
            granted = min(self.a_second, self.left)
            if granted:
                self.sees(row(self.seconds, count=granted))
            self.left -= granted
            self.seconds += 1
        self.campaigns = {"grey": given_out(1_000 - self.left)}


def test_a_restart_costs_no_early_warning() -> None:
    """Two cards a second are gone after 500 s, known from the 40th on: held for a minute, it is told at 100."""
    first = Rush(2).until(200)
    assert first == WINDOWS_SECONDS + PENDING_SECONDS["ends_before_plan"]
    restarted = Rush(2)
    assert restarted.until(70) is None
    restarted.passes(80)
    restarted.started_again()
    told = restarted.until(200)
    assert told is not None
    assert first <= told <= first + STEP_SECONDS


def test_what_held_while_no_monitor_ran_is_told_at_once() -> None:
    rush = Rush(2)
    rush.passes(150)
    assert rush.until(200) == 151
    (stands,) = (one for key, one in rush.watch.standing.items() if (key.alert, key.subject) == CARDS[1:3])
    assert stands.since == START + 151 - PENDING_SECONDS["ends_before_plan"]


def test_what_no_reading_told_of_before_has_a_past_too() -> None:
    """A reading tells of so many campaigns; of one with demand from the next one on."""
    rush = Rush(2)
    rush.passes(150)
    known, rush.campaigns = rush.campaigns, {}
    assert rush.round(150) == []
    rush.campaigns = known
    assert CARDS in rush.round(151)


def test_a_young_trend_is_not_told_because_the_monitor_is_young() -> None:
    rush = Rush(2)
    rush.passes(50)
    told = rush.until(200)
    assert told is not None
    assert 100 <= told <= 100 + STEP_SECONDS


def test_a_trend_counts_from_where_it_became_alarming() -> None:
    """Half of its ten minutes are fast from the 900th second on, and its middle some seconds before."""
    slow = [row(at, count=1) for at in range(0, 600, 30)]
    fast = [row(at, count=9) for at in range(600, 960)]
    left = facts(quota=20_000, cards_left=16_740, cards_out=3_260, budget_left_minor=10**9, budget_minor=10**9)
    seen = {}
    for at in (870, 900, 960):
        given = [one for one in (*slow, *fast) if one["at"] < START + at]
        buckets = kept_after(*given)
        one = outlook.look(
            "grey", buckets, facts_at(START + at, START + 960, left, kept_after(*slow, *fast)), START + at, 0
        )
        seen[at] = held_before(one, buckets, {}).get(Key("grey", "ends_before_plan", "cards"))
    assert (seen[870], seen[900], seen[960]) == (None, 20, 60)


def test_a_rise_counts_for_as_long_as_it_was_as_severe() -> None:
    """It becomes critical half an hour before the end: 20 seconds ago."""
    buckets = kept_after(*[row(at, count=1) for at in range(600)])
    told = facts(quota=2_380, cards_left=1_780, cards_out=600, budget_left_minor=10**9, budget_minor=10**9)
    one = outlook.look("grey", buckets, told, START + 600, 0)
    (condition,) = conditions(one)
    key = condition.key
    assert condition.severity == "critical"
    warned = Condition(key, "warning", "", 1.0, 1.0, "seconds")
    assert held_before(one, buckets, {}) == {key: 60.0}
    assert held_before(one, buckets, {key: Standing(warned, START, START, told=True)}) == {key: 15.0}


def test_the_facts_of_a_moment_ago() -> None:
    buckets = kept_after(row(50, count=7), row(55, "voucher.expired", 2), row(30, count=100))
    assert facts_at(START + 40, START + 60, given_out(105), buckets) == given_out(100)


def test_an_end_that_is_near_is_held_for_a_share_of_the_time_until_then() -> None:
    """Cards gone in 63 s were told when they were gone; by 200 s it was told with half of the time spent."""
    assert [Rush(a_second).until(300) for a_second in (16, 5)] == [50, 72]


def test_a_minute_is_held_where_there_is_time() -> None:
    soon = Condition(Key("grey", "ends_before_plan", "cards"), "critical", "", 1.0, 1.0, "seconds")
    assert pending_seconds(soon) == 60

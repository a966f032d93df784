"""What the runs say: the same decisions as in production, the same answer for the same seed, at any scale."""

import math
from dataclasses import replace
from random import Random
from statistics import fmean, pstdev

import pytest

from tests.unit.test_plan_files import campaign, tranche
from voucher_ledger.plan.arrivals import arrivals, draw_luck
from voucher_ledger.plan.campaign import MINUTE_MS, PlannedCampaign
from voucher_ledger.plan.forecast import Demand
from voucher_ledger.plan.outcome import Outcome, Quantiles, Trial, quantiles
from voucher_ledger.plan.run import STEPS, Run, play
from voucher_ledger.plan.scale import choose_scale
from voucher_ledger.plan.tranches import recommend

ROWS = [Demand(0, 1, 1)]


def run(planned: PlannedCampaign, *minutes: float, rows: list[Demand] | None = None) -> Run:
    """Claims at these minutes, with the campaign's own tranches."""
    released = planned.tranches or ((planned.rules.starts_at_ms, planned.quota),)
    claims = [(int(minute * MINUTE_MS), 0) for minute in minutes]
    return play(planned, rows or ROWS, released, planned.budget_minor, claims)


def trial(planned: PlannedCampaign, rows: list[Demand], *, claims_max: int = 20_000, runs: int = 5) -> Trial:
    return Trial(planned, rows, choose_scale(planned, rows, claims_max), runs, seed=1, uncertainty=0.3)


def test_cards_run_out_with_the_last_one() -> None:
    found = run(campaign(quota=2), 1, 5, 6, 7)
    assert (found.granted, found.refused, found.waiting) == (2, 2, 0)
    assert (found.last_card_ms, found.available_ms) == (5 * MINUTE_MS, 5 * MINUTE_MS)


def test_limits_bound_no_planned_claim_as_each_is_a_user_of_its_own_without_device_or_channel() -> None:
    limits = {"per_user_day": 1, "per_device": 1, "channel_quotas": {"app": 0}}
    assert run(campaign(quota=2, limits=limits), 1, 5, 6, 7) == run(campaign(quota=2), 1, 5, 6, 7)


def test_cards_that_are_left_last() -> None:
    found = run(campaign(quota=3), 1, 5)
    assert (found.last_card_ms, found.available_ms) == (None, 120 * MINUTE_MS)
    assert len(found.granted_by_step) == STEPS + 1
    assert (found.granted_by_step[0], found.granted_by_step[-1]) == (0, 2)


def test_who_comes_between_tranches_must_wait() -> None:
    planned = campaign(quota=3, release=[tranche(0, 1), tranche(30, 1), tranche(60, 1)])
    found = run(planned, 1, 2, 29.99, 30, 45, 61, 62)
    assert (found.granted, found.waiting, found.refused) == (3, 3, 1)
    assert found.last_card_ms == 61 * MINUTE_MS
    assert found.available_ms == (1 + 0 + 1) * MINUTE_MS


def test_a_tranche_that_meets_an_empty_pool_is_told_from_one_that_meets_cards() -> None:
    planned = campaign(quota=4, release=[tranche(10, 1), tranche(30, 2), tranche(60, 1)])
    none_left = run(planned, 12, 31, 40, 61)
    assert (none_left.tranches_after_empty, none_left.longest_gap_ms) == (2, 59 * MINUTE_MS)
    some_left = run(planned, 12, 31)
    assert (some_left.tranches_after_empty, some_left.longest_gap_ms) == (1, 18 * MINUTE_MS)
    assert run(planned).longest_gap_ms == 10 * MINUTE_MS  # before the first one nothing can have run out
    assert run(planned).tranches_after_empty == 0


@pytest.mark.parametrize(("claims", "empty", "gap_minutes"), [(30, 0, 0.0), (100 * 480, 11, 9.9)])
def test_how_long_there_are_no_cards_follows_the_demand(claims: int, empty: int, gap_minutes: float) -> None:
    planned = campaign(quota=100)
    rows = [Demand(0, 60, claims / 2), Demand(60, 60, claims / 2)]
    found = replace(trial(planned, rows), uncertainty=0.0).outcome("x", recommend(planned, rows, None))
    assert len(found.tranches) == 12
    assert found.tranches_after_empty.low == found.tranches_after_empty.high == empty
    assert found.longest_gap_minutes.low == pytest.approx(gap_minutes, abs=0.5)


def test_before_the_first_tranche_nobody_is_granted() -> None:
    found = run(campaign(quota=1, release=[tranche(30, 1)]), 1, 31)
    assert (found.granted, found.waiting, found.available_ms) == (1, 1, MINUTE_MS)


def test_a_budget_that_is_gone_is_not_waited_for() -> None:
    planned = campaign(quota=4, budget_minor=2_500, release=[tranche(0, 2), tranche(60, 2)])
    found = run(planned, 1, 2, 61)
    assert (found.granted, found.waiting, found.refused, found.last_card_ms) == (1, 0, 2, MINUTE_MS)


def test_claims_past_the_end_count_for_nothing() -> None:
    found = run(campaign(quota=4), 119, 121)
    assert (found.granted, found.refused) == (1, 0)


def test_demand_has_the_mean_and_the_deviation_that_were_asked_for() -> None:
    draw = Random(1)
    factors = [draw_luck(draw, 0.3).demand for _ in range(20_000)]
    assert fmean(factors) == pytest.approx(1, abs=0.01)
    assert pstdev(factors) == pytest.approx(0.3, abs=0.01)
    assert draw_luck(draw, 0) == replace(draw_luck(draw, 0), demand=1.0, odds=1.0)


def test_claims_come_in_order_and_in_proportion_to_their_rows() -> None:
    rows = [Demand(0, 1, 300), Demand(0, 1, 0, city_tier=2), Demand(0, 1, 900, city_tier=1), Demand(60, 60, 600)]
    claims = list(arrivals(rows, 10, Random(1)))
    times = [at_ms for at_ms, _ in claims]
    assert times == sorted(times)
    assert all(rows[place].minute * MINUTE_MS <= at_ms for at_ms, place in claims)
    assert all(at_ms < (rows[place].minute + rows[place].length_minutes) * MINUTE_MS for at_ms, place in claims)
    for place, row in enumerate(rows):
        count = sum(found == place for _, found in claims)
        assert abs(count - 10 * row.claims) <= 5 * math.sqrt(10 * row.claims)


def test_one_seed_gives_one_answer() -> None:
    planned = campaign(quota=100)
    rows = [Demand(minute, 1, 20, 0.5) for minute in range(10)]
    first, again = (trial(planned, rows).outcome("x", ()) for _ in range(2))
    other = replace(trial(planned, rows), seed=2).outcome("x", ())
    assert first == again
    assert first != other


def test_the_scaled_answer_agrees_with_the_unscaled_one() -> None:
    """A tenth of the claims and cards gives the same minutes within 5 %, the same counts within 5 % of all claims."""
    planned = campaign(quota=2_000, budget_minor=5_000_000)
    rows = [Demand(minute, 1, 400 if minute < 10 else 40, 0.5) for minute in range(110)]
    plans = ((), ((planned.rules.starts_at_ms, 1_000), (planned.rules.starts_at_ms + 60 * MINUTE_MS, 1_000)))
    for tranches in plans:
        whole = trial(planned, rows, runs=9).outcome("x", tranches)
        scaled = trial(planned, rows, runs=9, claims_max=800).outcome("x", tranches)
        assert_close(scaled.last_card_minutes, whole.last_card_minutes, 0.05 * 110)
        for of in ("granted", "waiting", "refused"):
            assert_close(getattr(scaled, of), getattr(whole, of), 0.05 * 8_000)
        assert_close(scaled.available_share, whole.available_share, 0.05)
        assert scaled.granted.middle == whole.granted.middle == 2_000


def assert_close(found: Quantiles, wanted: Quantiles, tolerance: float) -> None:
    assert all(one == other or abs(one - other) <= tolerance for one, other in zip(found, wanted, strict=True))


def test_a_large_demand_is_scaled_by_one_factor() -> None:
    scale = choose_scale(campaign(quota=50_000), [Demand(0, 1, 1_000_000)])
    assert (scale.factor, scale.cards, scale.cards_each) == (50, 1_000, 50.0)
    few = choose_scale(campaign(quota=3), [Demand(0, 1, 1_000_000)])
    assert (few.factor, few.cards, few.cards_each) == (50, 1, 3.0)


def test_spend_is_what_the_orders_take() -> None:
    def spend(**changes: object) -> Outcome:
        rows = [Demand(0, 1, 500, conversion=0.5, average_order_minor=2_000)]
        return replace(trial(campaign(quota=100, **changes), rows), uncertainty=0.0).outcome("x", ())

    assert spend().spend_minor == (100_000, 100_000, 100_000)
    tenth = {"kind": "percent_off", "face_value_minor": 2_500, "percent_bp": 1_000}
    assert spend(voucher=tenth).spend_minor == (10_000, 10_000, 10_000)
    assert trial(campaign(), [Demand(0, 1, 5)]).outcome("x", ()).spend_minor is None


def test_parts_sum_to_the_whole() -> None:
    rows = [Demand(0, 1, 30, 1.0, None, "tea", 1), Demand(0, 1, 10, 0.0, None, "hotel", 2)]
    found = trial(campaign(category_budgets_minor={"hotel": 7}), rows, runs=1).outcome("x", ())
    parts = {(part.kind, part.name): part for part in found.parts}
    assert set(parts) == {("category", "hotel"), ("category", "tea"), ("city tier", "1"), ("city tier", "2")}
    assert parts["category", "hotel"].budget_minor == 7
    assert parts["category", "tea"].spend_minor == found.spend_minor
    assert sum(part.granted.middle for part in found.parts) == 2 * found.granted.middle


def test_quantiles_are_values_that_occurred() -> None:
    assert quantiles([3]) == (3, 3, 3)
    assert quantiles([math.inf, *range(9)]) == (0, 4, 8)
    assert quantiles([math.inf, math.inf, *range(8)]) == (0, 4, math.inf)

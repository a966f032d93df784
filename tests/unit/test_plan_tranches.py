"""The recommended tranches: they sum to the quota, ascend, lie in the campaign, and follow the forecast."""

from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.unit.test_plan_files import campaign
from voucher_ledger.core.clock import milliseconds, rfc3339
from voucher_ledger.plan.campaign import MINUTE_MS, PlannedCampaign
from voucher_ledger.plan.forecast import Demand
from voucher_ledger.plan.report import release
from voucher_ledger.plan.scale import Scale
from voucher_ledger.plan.tranches import TRANCHES_MAX, apportion, recommend

START_MS = milliseconds("2026-02-06T00:00:00Z")
DAY_MINUTES = 1_440

campaigns = some.builds(
    lambda quota, length_ms: campaign(quota=quota, ends_at=rfc3339(START_MS + length_ms)),
    some.one_of(some.integers(1, 200), some.integers(1, 10**15)),
    some.integers(1, 9 * DAY_MINUTES * MINUTE_MS),
)
forecasts = some.lists(
    some.builds(
        Demand, some.integers(0, 3 * DAY_MINUTES), some.sampled_from([1, 60]), some.floats(0, 10**12, allow_nan=False)
    ),
    min_size=1,
    max_size=20,
).map(lambda rows: sorted(rows, key=lambda row: row.minute))
counts = some.one_of(some.none(), some.integers(1, TRANCHES_MAX))


@settings(max_examples=60, deadline=None)
@given(campaigns, forecasts, counts)
def test_tranches_sum_to_the_quota_and_lie_in_the_campaign(
    planned: PlannedCampaign, rows: list[Demand], count: int | None
) -> None:
    tranches = recommend(planned, rows, count)
    moments = [at_ms for at_ms, _ in tranches]
    released = list(accumulate(quota for _, quota in tranches))
    assert released[-1] == planned.quota
    assert all(quota > 0 for _, quota in tranches)
    assert all(before <= planned.quota for before in released)
    assert all(before < after for before, after in pairwise(moments))
    assert planned.rules.starts_at_ms <= moments[0]
    assert moments[-1] < planned.rules.ends_at_ms
    assert len(tranches) <= (TRANCHES_MAX if count is None else count)


@settings(max_examples=60, deadline=None)
@given(campaigns, forecasts, some.integers(1, 20_000))
def test_scaled_tranches_sum_to_the_scaled_cards_and_run_ahead_of_nothing(
    planned: PlannedCampaign, rows: list[Demand], cards: int
) -> None:
    tranches = recommend(planned, rows, 50)
    scaled = Scale(1, cards, planned.quota / cards).tranches(planned, tranches)
    assert sum(quota for _, quota in scaled) == cards
    both = zip(accumulate(q for _, q in scaled), accumulate(q for _, q in tranches), strict=True)
    assert all(simulated * planned.quota <= released * cards for simulated, released in both)


@settings(max_examples=60, deadline=None)
@given(
    some.integers(0, 10**15),
    some.lists(some.floats(0, 1, allow_subnormal=False), min_size=1, max_size=50).filter(
        lambda found: sum(found) > 0.01
    ),
)
def test_shares_are_whole_sum_up_and_are_off_by_less_than_one(quota: int, weights: list[float]) -> None:
    shares = apportion(quota, weights)
    assert sum(shares) == quota
    scaled = [round(weight * 2**60) for weight in weights]
    assert all(
        abs(share * sum(scaled) - quota * weight) < sum(scaled) for share, weight in zip(shares, scaled, strict=True)
    )


def test_nine_tenths_follow_the_forecast_and_one_is_spread_evenly() -> None:
    planned = campaign(quota=1_000)
    tranches = recommend(planned, [Demand(0, 1, 300), Demand(60, 60, 100)], 2)
    assert tranches == ((START_MS, 50 + 675), (START_MS + 60 * MINUTE_MS, 50 + 225))


def test_by_default_there_is_a_tranche_each_ten_minutes_and_never_more_than_the_schema_takes() -> None:
    rows = [Demand(0, 1, 1)]
    twelve = recommend(campaign(quota=10_000), rows, None)
    assert [at_ms - START_MS for at_ms, _ in twelve] == [place * 10 * MINUTE_MS for place in range(12)]
    assert len(recommend(campaign(quota=10**6, ends_at="2026-02-28T00:00:00Z"), rows, None)) == TRANCHES_MAX


def test_an_hour_of_demand_is_split_among_the_tranches_within() -> None:
    planned = campaign(quota=120)
    assert [quota for _, quota in recommend(planned, [Demand(0, 60, 9), Demand(60, 60, 9)], 12)] == [10] * 12


@pytest.mark.parametrize("quota", [1, 7, 1_000])
def test_the_release_can_be_pasted_into_the_command(quota: int) -> None:
    found = release(recommend(campaign(quota=quota), [Demand(0, 1, 1)], None))
    again = campaign(quota=quota, release=found)  # read_campaign decodes it as a processor would
    assert sum(tranche["quota"] for tranche in found) == sum(count for _, count in again.tranches) == quota

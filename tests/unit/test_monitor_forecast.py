"""Windows, forecast and plan: figures worked out by hand."""

import pytest

from tests.unit.demand_given import FACE_MINOR, START, facts, given_out, kept_after, row, seen
from voucher_ledger.monitor import forecast, outlook, windows
from voucher_ledger.monitor.alerts import conditions
from voucher_ledger.monitor.buckets import count_of
from voucher_ledger.monitor.burn_down import burn_down
from voucher_ledger.monitor.forecast import Ends, Plan, Rates, Supply, Tranche
from voucher_ledger.monitor.moments import STILL_SECONDS, Moments

DAY = 86_400


def test_hopping_windows_end_at_the_last_second_and_none_is_cut() -> None:
    assert windows.hopping([1, 2, 3, 4, 5], width=2, hop=2) == [5, 9]
    assert windows.hopping([1], width=2, hop=1) == []
    with pytest.raises(ValueError, match="at least 1"):
        windows.hopping([1], width=0, hop=1)


def test_tumbling_windows_follow_one_another_and_show_gaps() -> None:
    minutes = kept_after(row(59, count=1), row(60, count=2), row(250, count=4))["minute"]
    found = windows.tumbling(minutes, 120, START, START + 300)
    assert [(window.start - START, count_of(window.bucket, "voucher.granted")) for window in found] == [
        (0, 3), (120, 0), (240, 4)
    ]  # fmt: skip
    with pytest.raises(ValueError, match="whole number of minutes"):
        windows.tumbling(minutes, 90, START, START + 300)


def test_growth_is_the_last_whole_hour_against_the_same_hour_the_day_before() -> None:
    now = [row(DAY + at, "order.reserved", 100, category="hotel", city_tier=5) for at in (0, 900, 1_800, 2_700)]
    before = [row(at, "order.reserved", 25, category="hotel", city_tier=5) for at in (0, 900, 1_800, 2_700)]
    outside = [row(at, "order.reserved", 7_000, category="hotel") for at in (-1, 3_600, DAY - 1, DAY + 3_600)]
    small = [
        row(0, "order.reserved", windows.GROWTH_BASE_MIN - 1, category="film"),
        row(DAY, "order.reserved", 99, category="film"),
    ]
    quarters = kept_after(*before, *now, *outside, *small)["quarter"]
    by_category, by_tier = windows.growth(quarters, START + DAY + 3_600 + 800, "order.reserved")
    assert {one.name: (one.count, one.count_day_before, one.ratio) for one in by_category} == {
        "hotel": (400, 100, 4.0),
        "film": (99, windows.GROWTH_BASE_MIN - 1, None),
    }
    assert [(one.name, one.ratio) for one in by_tier] == [("5", 4.0)]


@pytest.mark.parametrize(("quarters_later", "ratio"), [(1, None), (2, None), (3, None), (4, 1.0), (5, 1.0)])
@pytest.mark.parametrize("starts_at", [0, -7_200])
def test_growth_needs_an_hour_of_the_day_before(quarters_later: int, ratio: float | None, starts_at: int) -> None:
    """Of flat demand, which begins with the campaign, or in its midst where the monitor began later."""
    flat = [row(at, "order.reserved", 100, category="hotel", city_tier=5) for at in range(0, 2 * DAY, 900)]
    told = facts(starts_at=START + starts_at, ends_at=START + 9 * DAY)
    found = seen(*flat, facts=told, at=DAY + quarters_later * 900)
    assert [(one.count, one.ratio) for one in (*found.by_category, *found.by_tier)] == [(400, ratio)] * 2
    assert [one for one in conditions(found) if one.key.alert == "growth"] == []


def test_growth_leaves_out_what_came_before_the_start() -> None:
    early = [row(-900, "voucher.rejected", 9, reason="not_started")]
    flat = [row(at, "order.reserved", 100, category="hotel") for at in range(0, DAY + 3_600, 900)]
    for at, ratio in ((DAY + 2_700, None), (DAY + 3_600, 1.0)):
        found = seen(*early, *flat, facts=facts(ends_at=START + 9 * DAY), at=at)
        assert [one.ratio for one in found.by_category] == [ratio]


def test_a_steady_trend_ends_when_what_is_left_is_used_up() -> None:
    grants = [row(at, count=2) for at in range(300)]
    found = seen(*grants, facts=given_out(600), at=300)
    assert found.rates == Rates(2.0, 2.0, 2.0)
    assert found.cards_end == Ends(START + 500, START + 500, START + 500)
    assert found.budget_end == found.cards_end


def test_the_range_follows_the_trends_fast_and_slow_windows() -> None:
    grants = [row(at, count=1 if at < 300 else 3) for at in range(600)]
    found = seen(*grants, facts=given_out(400), at=600)
    assert found.rates is not None
    assert found.cards_end is not None
    assert tuple(found.rates) == pytest.approx((1.0, 2.0, 3.0))
    assert found.cards_end == pytest.approx((START + 800, START + 900, START + 1_200), abs=0.01, rel=0)


def test_the_trend_is_net_of_cards_that_came_back_and_has_a_range_from_the_first_minute_on() -> None:
    rows = [row(at, count=5) for at in range(60)] + [row(at, "voucher.expired", 3) for at in range(60)]
    assert seen(*rows, facts=given_out(120), at=60).rates == Rates(2.0, 2.0, 2.0)
    assert seen(*rows, facts=given_out(20), at=39).rates is None, "one window or two are no range"
    young = forecast.rates(kept_after(row(0, count=10), row(39, count=30))["minute"], START + 40, START)
    assert young is not None
    assert tuple(young) == pytest.approx((0.0, 0.5, 2.4))


def test_who_asks_before_the_start_makes_the_trend_no_slower() -> None:
    early = [row(at, "voucher.rejected", 9, reason="not_started") for at in range(-600, 0)]
    granted = [row(at, count=3) for at in range(60)]
    assert seen(*early, *granted, facts=given_out(180), at=60).rates == Rates(3.0, 3.0, 3.0)
    assert seen(*early, facts=given_out(0), at=-5).rates is None


def test_nothing_ends_that_is_not_used_and_what_is_gone_is_gone() -> None:
    quiet = seen(row(0), facts=given_out(1), at=900)
    assert quiet.cards_end == Ends(None, None, None)
    gone = seen(*[row(at, count=10) for at in range(100)], facts=given_out(1_000), at=100)
    assert gone.cards_end == Ends(*[float(START + 100)] * 3)
    no_money = facts(cards_left=10, budget_left_minor=2_499)
    poor = seen(*[row(at, count=10) for at in range(99)], facts=no_money, at=99)
    assert poor.cards_end is None, "without money no card is granted"
    assert poor.budget_end == Ends(*[float(START + 99)] * 3)


def test_what_is_not_released_yet_does_not_end_before_its_tranche() -> None:
    tranches = (Tranche(START, 30), Tranche(START + 600, 10), Tranche(START + 3_000, 20))
    told = facts(
        quota=60, cards_left=30, cards_out=30, tranches=tranches, ends_at=START + 3_400,
        budget_minor=60 * FACE_MINOR, budget_left_minor=30 * FACE_MINOR,
    )  # fmt: skip
    found = seen(*[row(at, count=2) for at in range(0, 300, 20)], facts=told, at=300)
    assert found.cards_end == pytest.approx(Ends(*[START + 3_200.0] * 3), rel=0, abs=1e-3)
    assert found.budget_end == found.cards_end, "money waits for cards"
    assert [one for one in conditions(found) if one.key.alert == "ends_before_plan"] == []
    curves = burn_down({}, found)
    assert curves is not None
    assert [left for at, left in zip(curves["at"], curves["middle"], strict=True) if at < START + 600] == [30.0] * sum(
        at < START + 600 for at in curves["at"]
    )


@pytest.mark.parametrize(
    ("left", "rate", "end"), [(15, 1.0, 15), (25, 1.0, 105), (45, 1.0, 1_005), (70, 1.0, 1_030), (45, 0.01, 4_500)]
)
def test_ends_are_handed_over_from_tranche_to_tranche(left: int, rate: float, end: int) -> None:
    supply = Supply(20, (Tranche(100, 20), Tranche(1_000, 10)))
    assert forecast.ends(left, Rates(rate, rate, rate), 0, supply).middle == pytest.approx(end)
    assert forecast.granted_by(end, rate, 0, supply) == pytest.approx(min(left, 50))


@pytest.mark.parametrize(("at", "planned"), [(-5, 0), (0, 0), (150, 150), (300, 300), (900, 300)])
def test_the_plan_without_tranches_is_even(at: int, planned: int) -> None:
    assert Plan(300, 0, 300, ()).granted(at) == planned


def test_the_plan_with_tranches_spreads_each_until_the_next() -> None:
    plan = Plan(200, 0, 300, (Tranche(0, 100), Tranche(100, 50)))
    assert plan.granted(50) == pytest.approx(50 / 300 * 50 + 50)
    assert plan.granted(200) == pytest.approx(200 / 300 * 50 + 100 + 25)
    assert plan.granted(300) == 200


def test_the_plan_of_many_tranches_is_the_sum_of_each() -> None:
    begins = [3, 3, 7, 20, 21, 60]
    tranches = [Tranche(at, 10 + at) for at in begins]
    plan = Plan(500, 5, 90, tranches)

    def share(at: int, start: int, end: int) -> float:
        return float(at >= end) if end <= start else min(1.0, max(0.0, (at - start) / (end - start)))

    for at in range(100):
        each = [one.quota * share(at, one.at, end) for one, end in zip(tranches, [*begins[1:], 90], strict=True)]
        unpaced = (500 - sum(one.quota for one in tranches)) * share(at, 5, 90)
        assert plan.granted(at) == pytest.approx(unpaced + sum(each))


def test_record_time_is_the_clock_only_while_a_campaign_runs_and_all_is_read() -> None:
    kept = kept_after(row(10))
    running, over = facts(), facts(ends_at=START + 100)

    def moment(facts_: object, now: int, lag: float | None = 0.0, *, caught_up: bool = True) -> int:
        assert facts_ is None or isinstance(facts_, type(running))
        return outlook.as_of(kept, facts_, START + now, lag, caught_up=caught_up) - START

    assert moment(running, 500) == 500
    assert moment(running, 500, 30.0) == 470
    assert moment(running, 500, 3_000.0) == 11
    for behind in (
        moment(running, 500, None),
        moment(running, 500, caught_up=False),
        moment(over, 500),
        moment(None, 9),
    ):
        assert behind == 11, "the second after the newest one"
    assert outlook.as_of({}, running, START + 7.5, 0.0, caught_up=True) == START + 7
    assert moment(running, 5) == 11, "record time that is ahead of the clock is not taken back"


def test_a_moment_that_was_known_is_not_taken_back_at_the_campaigns_end() -> None:
    """Its demand moved until two minutes before it, so that it is not over for some minutes yet."""
    moments, told = Moments(), facts(ends_at=START + 1_000)
    rows = [row(10), row(880)]

    def moment(now: int, *, caught_up: bool = True) -> int:
        kept = kept_after(*[one for one in rows if one["at"] < START + now])
        return moments.of("grey", kept, told, START + now, 0.0, caught_up=caught_up) - START

    assert [moment(at) for at in (800, 900, 999, 1_000, 1_001)] == [800, 900, 999, 999, 999]
    assert moment(1_002, caught_up=False) == 999
    assert moment(900 + int(STILL_SECONDS)) == 1_000


def test_reconciliation_allows_what_is_on_its_way_and_refunds_of_expired_vouchers() -> None:
    rows = [row(0, count=100), row(0, "voucher.expired", 10), row(0, "payment.refunded", 2)]

    def difference(cards_out: int, unpublished: int | None = 0) -> int | None:
        found = seen(*rows, facts=given_out(cards_out), at=60, unpublished=unpublished).reconciliation
        return None if found is None else found.difference

    assert [difference(90), difference(88), difference(87), difference(91)] == [0, 0, 1, -1]
    assert [difference(95, 5), difference(96, 5), difference(80, None)] == [0, -1, None]
    lately = seen(*rows, facts=given_out(50), at=5).reconciliation
    assert lately is not None
    assert lately.difference == 0, "the ledger was read before these came"


def test_burn_down_is_reckoned_back_and_led_on() -> None:
    rows = [row(0, count=60), row(70, count=40), row(120, count=20)]
    kept, found = kept_after(*rows), seen(*rows, facts=given_out(120), at=130)
    curves = burn_down(kept, found)
    assert curves is not None
    past = [(at - START, left) for at, left in zip(curves["at"], curves["left"], strict=True) if left is not None]
    assert past == [(0, 1_000), (60, 940), (120, 900), (130, 880)]
    assert len({len(curve) for curve in curves.values()}) == 1
    assert curves["middle"][:4] == [None, None, None, 880.0]
    assert curves["early"][-1] <= curves["middle"][-1] <= curves["late"][-1]
    assert burn_down(kept, seen(*rows, facts=None, at=130)) is None

"""The catalogue of verticals and tiers: whole, and grown from the first wave to the second as the campaign was."""

from collections import Counter
from typing import get_args

import orjson
import pytest

from voucher_ledger.simulate.catalogue import ALLOWED_CATEGORIES, CATALOGUE, Wave, tier_at, vertical_at
from voucher_ledger.simulate.plan import claims, opening
from voucher_ledger.simulate.react import Users
from voucher_ledger.simulate.scenario import Scenario

SHARES = 10_000


def test_all_ten_verticals_are_there_and_may_be_ordered() -> None:
    assert (
        sorted(
            [
                "tea",
                "film",
                "hotel",
                "flight",
                "train",
                "attraction",
                "group-buy",
                "ride-hailing",
                "phone-top-up",
                "shopping",
            ]
        )
        == ALLOWED_CATEGORIES
    )
    opened = orjson.loads(next(opening(Scenario(0), 1)).value or b"")
    assert opened["data"]["categories"] == ALLOWED_CATEGORIES


@pytest.mark.parametrize("wave", get_args(Wave))
def test_every_part_of_a_wave_falls_on_its_vertical_and_tier(wave: Wave) -> None:
    parts = [number / SHARES for number in range(SHARES)]
    total = sum(vertical.first_wave if wave == 1 else vertical.second_wave for vertical in CATALOGUE)
    found = Counter(vertical_at(wave, part).category for part in parts)
    for vertical in CATALOGUE:
        share = vertical.first_wave if wave == 1 else vertical.second_wave
        assert found[vertical.category] == pytest.approx(SHARES * share / total, abs=1)
    assert set(Counter(tier_at(wave, part) for part in parts)) == {1, 2, 3, 4, 5, 6}


def test_hotels_grow_fourfold_and_flights_threefold_and_small_cities_most() -> None:
    growth = {vertical.category: vertical.second_wave / vertical.first_wave for vertical in CATALOGUE}
    assert (growth.pop("hotel"), growth.pop("flight")) == (4, 3)
    assert max(growth.values()) < 2
    tiers = {wave: Counter(tier_at(wave, n / SHARES) for n in range(SHARES)) for wave in get_args(Wave)}
    grown = [tiers[2][tier] / tiers[1][tier] for tier in range(1, 7)]
    assert grown == sorted(grown)


def test_a_play_orders_what_its_wave_orders() -> None:
    shares: dict[Wave, Counter[str]] = {}
    for wave in get_args(Wave):
        scenario = Scenario(0, wave=wave, claims=4_000)
        users = Users(scenario, 1)
        orders: Counter[str] = Counter()
        for number in range(4_000):
            data = {"campaign_id": scenario.campaign_id, "voucher_id": f"v0-{number}", "user_id": f"u-{number}"}
            event = {"type": "voucher.granted", "time": "2026-02-06T00:00:00.000Z", "data": data}
            for command in users.react(event):
                if command.topic == "order.commands":
                    orders[orjson.loads(command.value or b"")["data"]["category"]] += 1
        shares[wave] = orders
    assert 2 < shares[2]["hotel"] / shares[1]["hotel"] < 4  # of a whole that has grown too
    assert shares[2]["tea"] < shares[1]["tea"]
    assert len(list(claims(Scenario(0, wave=2, claims=100), 1))) >= 100

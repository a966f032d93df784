"""What vouchers are spent on, and where users live, in both waves of the campaign: data only.

A vertical is a category of `campaign.open`, and nothing else knows its name: another one is another line here.
"""

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

Wave = Literal[1, 2]


@dataclass(frozen=True, slots=True)
class Vertical:
    """A category of orders of up to `amount_minor_max`; its share of the orders in each wave, against the others'."""

    category: str
    amount_minor_max: int
    first_wave: int
    second_wave: int


# A first wave of a hundred orders, mostly small ones; in the second, hotels have four times as many and flights three.
CATALOGUE: tuple[Vertical, ...] = (
    Vertical("tea", 3_000, 32, 32),
    Vertical("film", 6_000, 12, 18),
    Vertical("group-buy", 8_000, 10, 15),
    Vertical("shopping", 20_000, 10, 12),
    Vertical("train", 30_000, 9, 14),
    Vertical("attraction", 12_000, 7, 12),
    Vertical("hotel", 60_000, 6, 24),
    Vertical("ride-hailing", 4_000, 6, 8),
    Vertical("flight", 120_000, 5, 15),
    Vertical("phone-top-up", 10_000, 3, 4),
)
ALLOWED_CATEGORIES = sorted(vertical.category for vertical in CATALOGUE)
NOT_ALLOWED_CATEGORY = "jewellery"

# Users by city tier, 1 to 6; the lower the tier, the more the second wave adds.
TIERS: dict[Wave, tuple[int, ...]] = {1: (30, 24, 18, 13, 9, 6), 2: (33, 30, 26, 22, 18, 14)}
_TIER_BOUNDS = {wave: tuple(accumulate(shares)) for wave, shares in TIERS.items()}
_VERTICAL_BOUNDS: dict[Wave, tuple[int, ...]] = {
    1: tuple(accumulate(vertical.first_wave for vertical in CATALOGUE)),
    2: tuple(accumulate(vertical.second_wave for vertical in CATALOGUE)),
}
# How many orders the second wave has for each of the first.
GROWTH = _VERTICAL_BOUNDS[2][-1] / _VERTICAL_BOUNDS[1][-1]


def vertical_at(wave: Wave, part: float) -> Vertical:
    """The vertical at `part` (0 to below 1) of a wave's orders."""
    return CATALOGUE[_place(_VERTICAL_BOUNDS[wave], part)]


def tier_at(wave: Wave, part: float) -> int:
    """The city tier, 1 to 6, at `part` (0 to below 1) of a wave's users."""
    return 1 + _place(_TIER_BOUNDS[wave], part)


def growth_of_tier(tier: int) -> float:
    """How many orders from a city tier, 1 to 6, the second wave has for each of the first."""
    first, second = (TIERS[wave][tier - 1] / sum(TIERS[wave]) for wave in (1, 2))
    return GROWTH * second / first


def _place(bounds: tuple[int, ...], part: float) -> int:
    return bisect_right(bounds, part * bounds[-1])

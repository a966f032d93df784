"""How orders grew from one day to the next, by vertical and by city tier, against what the catalogue has."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

import psycopg
from rich.table import Table

from voucher_ledger.demo.figures import Verdict
from voucher_ledger.demo.tables import text_table
from voucher_ledger.simulate.catalogue import CATALOGUE, GROWTH, TIERS, growth_of_tier

# So many standard deviations may a growth be off: once in 16,000 plays it is further.
DEVIATIONS_MAX = 4

_ORDERS = """
SELECT category, city_tier, campaign_id = %s, count(*), sum(discount_minor)::bigint FROM ledger.reservation
WHERE campaign_id IN (%s, %s) GROUP BY 1, 2, 3"""


@dataclass(frozen=True, slots=True)
class Growth:
    """All orders of a vertical or a city tier on both days, whatever became of them, with their discounts.

    `catalogue` is how many times as many the second wave has; `expected` the same, by the growth of all orders.
    """

    name: str
    first: int
    second: int
    first_discount_minor: int
    second_discount_minor: int
    catalogue: float
    expected: float

    @property
    def times(self) -> float:
        """How many times as many orders day two had; 0.0 where day one had none."""
        return self.second / self.first if self.first else 0.0

    @property
    def margin(self) -> float:
        """By which factor `times` may be off `expected`, either way: each count varies as its square root does, so the
        logarithm of their quotient has the variance 1/first + 1/second. It is infinite where a day had none.
        """
        if not self.first or not self.second:
            return math.inf
        return math.exp(DEVIATIONS_MAX * math.sqrt(1 / self.first + 1 / self.second))

    @property
    def as_expected(self) -> bool:
        """Whether `times` lies within the margin; never where a day had no order."""
        return min(self.first, self.second) > 0 and 1 / self.margin <= self.times / self.expected <= self.margin


@dataclass(frozen=True, slots=True)
class Orders:
    """The orders of a day in a vertical and from a city tier."""

    category: str
    city_tier: int
    on_day_two: bool
    count: int
    discount_minor: int


@dataclass(frozen=True, slots=True)
class DayOverDay:
    """Growth in all, by vertical in the catalogue's order, and by city tier, 1 to 6.

    How many orders there are in all depends on the machine too: on a slow one more vouchers expire before they are
    used, and more come back and are granted again. What each vertical has of them does not.
    """

    whole: Growth
    verticals: Sequence[Growth]
    tiers: Sequence[Growth]

    def verdicts(self) -> list[Verdict]:
        """What must hold, each with what was found."""
        by_name = {growth.name: growth for growth in self.verticals}
        large, small = reduce(_together, self.tiers[:2]), reduce(_together, self.tiers[-2:])
        ordered = sum(growth.first > 0 and growth.second > 0 for growth in self.verticals)
        return [
            Verdict("all ten verticals ordered on both days", ordered == len(CATALOGUE), f"{ordered} verticals"),
            self._verdict("hotels grew about fourfold", by_name["hotel"]),
            self._verdict("flights grew about threefold", by_name["flight"]),
            self._verdict("large cities (tiers 1 and 2) grew least", large),
            self._verdict("small cities (tiers 5 and 6) grew most", small),
        ]

    def tables(self) -> list[Table]:
        """By vertical and by city tier."""
        return [
            _table("Growth day over day, by vertical", "vertical", [*self.verticals, self.whole]),
            _table("Growth day over day, by city tier", "city tier", [*self.tiers, self.whole]),
        ]

    def _verdict(self, claim: str, growth: Growth) -> Verdict:
        low, high = growth.expected / growth.margin, growth.expected * growth.margin
        found = (
            f"{growth.times:.2f} times, {growth.expected:.2f} expected (all orders grew {self.whole.times:.2f} times, "
            f"{GROWTH:.2f} planned); {DEVIATIONS_MAX} deviations: {low:.2f} to {high:.2f}"
        )
        return Verdict(claim, growth.as_expected, found)


def read_growth(connection: psycopg.Connection, first: str, second: str) -> DayOverDay:
    """Read both days' orders, those of the campaigns `first` and `second`. Raises psycopg.Error."""
    return day_over_day(Orders(*row) for row in connection.execute(_ORDERS, (second, first, second)))


def day_over_day(orders: Iterable[Orders]) -> DayOverDay:
    """Sum the orders up."""
    known = list(orders)
    whole = _growth("all", known, GROWTH, 1.0)
    scale = whole.times / GROWTH
    return DayOverDay(
        whole,
        [
            _growth(
                each.category,
                [row for row in known if row.category == each.category],
                each.second_wave / each.first_wave,
                scale,
            )
            for each in CATALOGUE
        ],
        [
            _growth(str(tier), [row for row in known if row.city_tier == tier], growth_of_tier(tier), scale)
            for tier in range(1, len(TIERS[1]) + 1)
        ],
    )


def _growth(name: str, orders: Sequence[Orders], catalogue: float, scale: float) -> Growth:
    first, second = ([row for row in orders if row.on_day_two is day] for day in (False, True))
    return Growth(
        name,
        sum(row.count for row in first),
        sum(row.count for row in second),
        sum(row.discount_minor for row in first),
        sum(row.discount_minor for row in second),
        catalogue,
        catalogue * scale,
    )


def _together(one: Growth, other: Growth) -> Growth:
    """Both as one; what is expected is weighed by day one."""
    first = one.first + other.first
    catalogue, expected = (
        (own * one.first + its * other.first) / max(1, first)
        for own, its in ((one.catalogue, other.catalogue), (one.expected, other.expected))
    )
    return Growth(
        f"{one.name} and {other.name}",
        first,
        one.second + other.second,
        one.first_discount_minor + other.first_discount_minor,
        one.second_discount_minor + other.second_discount_minor,
        catalogue,
        expected,
    )


def _table(title: str, label: str, growths: Iterable[Growth]) -> Table:
    table = text_table(
        title,
        label,
        "orders day 1",
        "orders day 2",
        "growth, times",
        "catalogue, times",
        "discounts day 1",
        "discounts day 2",
    )
    for each in growths:
        table.add_row(
            each.name,
            f"{each.first:,}",
            f"{each.second:,}",
            f"{each.times:.2f}",
            f"{each.catalogue:.2f}",
            f"{each.first_discount_minor:,}",
            f"{each.second_discount_minor:,}",
        )
    return table

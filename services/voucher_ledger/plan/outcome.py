"""What many runs of one plan say together: quantiles, in cards, claims and money of the campaign itself. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from voucher_ledger.orders.discount import discount_of
from voucher_ledger.plan.arrivals import Luck, arrivals, draw_luck
from voucher_ledger.plan.campaign import MINUTE_MS, PlannedCampaign, Tranches
from voucher_ledger.plan.forecast import Demand
from voucher_ledger.plan.run import STEPS, Run, play
from voucher_ledger.plan.scale import Scale


class Quantiles(NamedTuple):
    """What 10 %, 50 % and 90 % of the runs stay at or below; infinite: never, cards are left at the end."""

    low: float
    middle: float
    high: float


class Level(NamedTuple):
    """Cards not yet granted at a minute from the start."""

    minute: float
    cards: Quantiles


@dataclass(frozen=True, slots=True)
class Part:
    """A category or a city tier: its cards and its spend; `budget_minor` is the category's own, if it has one."""

    kind: str
    name: str
    granted: Quantiles
    spend_minor: Quantiles | None
    budget_minor: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A plan and what comes of it.

    `last_card_minutes` is when the last card is granted, `waiting` are claims refused while a tranche was to come,
    `refused` those refused for good. `available_share` is the share of the campaign's time in which there is a card to
    claim, `longest_gap_minutes` the longest time without one, and `tranches_after_empty` the number of tranches, but
    for the first, before which the cards had run out. `spend_minor` is None where no conversion is known.
    """

    name: str
    tranches: Tranches
    last_card_minutes: Quantiles
    granted: Quantiles
    waiting: Quantiles
    refused: Quantiles
    available_share: Quantiles
    longest_gap_minutes: Quantiles
    tranches_after_empty: Quantiles
    spend_minor: Quantiles | None
    parts: tuple[Part, ...]
    levels: tuple[Level, ...]


def quantiles(values: Iterable[float]) -> Quantiles:
    """By nearest rank, so that each is a value that occurred."""
    ordered = sorted(values)
    low, middle, high = (ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] for percent in (10, 50, 90))
    return Quantiles(low, middle, high)


@dataclass(frozen=True, slots=True)
class Trial:
    """How a plan is tried: `runs` days drawn from `seed`, each off its forecast as `uncertainty` has it.

    `rows` lie within the campaign; `claims_left_out` were expected past its end.
    """

    campaign: PlannedCampaign
    rows: list[Demand]
    scale: Scale
    runs: int
    seed: int
    uncertainty: float
    claims_left_out: float = 0.0

    def outcome(self, name: str, tranches: Tranches) -> Outcome:
        """Try a plan; without `tranches` all cards are there from the start. Every plan meets the same days."""
        played = [self._run(number, tranches) for number in range(self.runs)]
        runs = [run for run, _ in played]
        cards_each, factor, length_ms = self.scale.cards_each, self.scale.factor, self.campaign.length_ms
        return Outcome(
            name,
            tranches,
            quantiles(math.inf if run.last_card_ms is None else run.last_card_ms / MINUTE_MS for run in runs),
            quantiles(round(run.granted * cards_each) for run in runs),
            quantiles(round(run.waiting * factor) for run in runs),
            quantiles(round(run.refused * factor) for run in runs),
            quantiles(run.available_ms / length_ms for run in runs),
            quantiles(run.longest_gap_ms / MINUTE_MS for run in runs),
            quantiles(run.tranches_after_empty for run in runs),
            self._spend(played, range(len(self.rows))),
            tuple(self._parts(played)),
            tuple(self._level(runs, step) for step in range(STEPS + 1)),
        )

    def _run(self, number: int, tranches: Tranches) -> tuple[Run, Luck]:
        draw = Random(f"{self.seed}/{number}")
        luck = draw_luck(draw, self.uncertainty)
        claims = arrivals(self.rows, luck.demand / self.scale.factor, draw)
        released = tranches or ((self.campaign.rules.starts_at_ms, self.campaign.quota),)
        simulated = self.scale.tranches(self.campaign, released)
        return play(self.campaign, self.rows, simulated, self.scale.budget_minor(self.campaign), claims), luck

    def _level(self, runs: Sequence[Run], step: int) -> Level:
        left = quantiles(round((self.scale.cards - run.granted_by_step[step]) * self.scale.cards_each) for run in runs)
        return Level(step * self.campaign.length_ms / STEPS / MINUTE_MS, left)

    def _spend(self, played: Sequence[tuple[Run, Luck]], places: Sequence[int]) -> Quantiles | None:
        """What the cards granted to the rows at `places` cost."""
        if any(row.conversion is None for row in self.rows):
            return None
        sums = []
        for run, luck in played:
            costs = (run.granted_by_row[place] * self._spend_each_minor(self.rows[place], luck) for place in places)
            sums.append(round(sum(costs) * self.scale.cards_each))
        return quantiles(sums)

    def _spend_each_minor(self, row: Demand, luck: Luck) -> float:
        """What a granted card costs in expectation.

        The discount is that of the average order: as discounts are capped, the average discount is at most that.
        Where no average is known, an order takes the whole face value.
        """
        rules = self.campaign.rules
        share = row.conversion or 0.0
        converted = share * luck.odds / (1 - share + share * luck.odds)
        if row.average_order_minor is None:
            return converted * rules.face_value_minor
        return converted * discount_of(rules, rules.face_value_minor, row.average_order_minor)

    def _parts(self, played: Sequence[tuple[Run, Luck]]) -> Iterator[Part]:
        by_category: dict[str, list[int]] = {}
        by_tier: dict[int, list[int]] = {}
        for place, row in enumerate(self.rows):
            if row.category is not None:
                by_category.setdefault(row.category, []).append(place)
            if row.city_tier is not None:
                by_tier.setdefault(row.city_tier, []).append(place)
        for category, places in sorted(by_category.items()):
            budget_minor = self.campaign.category_budgets_minor.get(category)
            yield Part("category", category, *self._granted_and_spend(played, places), budget_minor)
        for tier, places in sorted(by_tier.items()):
            yield Part("city tier", str(tier), *self._granted_and_spend(played, places), None)

    def _granted_and_spend(
        self, played: Sequence[tuple[Run, Luck]], places: Sequence[int]
    ) -> tuple[Quantiles, Quantiles | None]:
        granted = (sum(run.granted_by_row[place] for place in places) for run, _ in played)
        return quantiles(round(count * self.scale.cards_each) for count in granted), self._spend(played, places)

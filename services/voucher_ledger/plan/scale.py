"""How much smaller than the campaign a run is: cards and claims by one factor, so that a run stays quick."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from voucher_ledger.plan.campaign import PlannedCampaign, Tranches
from voucher_ledger.plan.forecast import Demand

# A run decides about so many claims at most (a day above its forecast decides more in proportion).
CLAIMS_MAX: Final = 20_000


@dataclass(frozen=True, slots=True)
class Scale:
    """One simulated claim stands for `factor` claims, one of `cards` simulated cards for `cards_each` cards."""

    factor: float
    cards: int
    cards_each: float

    def budget_minor(self, campaign: PlannedCampaign) -> int:
        """The simulated part of the budget."""
        return campaign.budget_minor * self.cards // campaign.quota

    def tranches(self, campaign: PlannedCampaign, tranches: Tranches) -> Tranches:
        """The simulated part of the tranches; their sums are rounded, not each of them, so that no error adds up."""
        released = simulated = 0
        found = []
        for at_ms, quota in tranches:
            released += quota
            now = self.cards * released // campaign.quota
            found.append((at_ms, now - simulated))
            simulated = now
        return tuple(found)


def choose_scale(campaign: PlannedCampaign, rows: Iterable[Demand], claims_max: int = CLAIMS_MAX) -> Scale:
    """The smallest whole factor by which at most `claims_max` claims are expected in a run; 1 where all fit."""
    factor = max(1, math.ceil(sum(row.claims for row in rows) / claims_max))
    cards = max(1, round(campaign.quota / factor))
    return Scale(factor, cards, campaign.quota / cards)

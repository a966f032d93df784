"""Paced release: the quota of a campaign becomes claimable in tranches, by record time alone. Pure.

What no tranche names is claimable from the start. What is not released yet stays in the pool, and leases leave it
there: so the cards of a tranche that nobody took, a top-up and what comes back are claimable without more bookkeeping.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice

from voucher_ledger.ledger.model import Campaign, Tranche


def _released(campaign: Campaign, time_ms: int) -> int:
    """How many of the tranches are released at `time_ms`; a tranche is from its own millisecond on."""
    return bisect_right(campaign.tranches, time_ms, key=_at_ms)


def _at_ms(tranche: Tranche) -> int:
    return tranche[0]


def unreleased(campaign: Campaign, time_ms: int) -> int:
    """Vouchers of the tranches after `time_ms` (milliseconds since 1970)."""
    return sum(quota for _, quota in islice(campaign.tranches, _released(campaign, time_ms), None))


def next_release_ms(campaign: Campaign, time_ms: int) -> int | None:
    """When the next tranche after `time_ms` is released; None where all are."""
    if not campaign.tranches:
        return None
    released = _released(campaign, time_ms)
    return campaign.tranches[released][0] if released < len(campaign.tranches) else None


def split_at_tranche(campaign: Campaign, times_ms: Sequence[int]) -> int | None:
    """Where to part these moments so that a tranche is between two neighbours: of such places the one nearest to the
    middle. None where they all are between the same two tranches.
    """
    released = [_released(campaign, time_ms) for time_ms in times_ms]
    places = [place for place in range(1, len(released)) if released[place] != released[place - 1]]
    return min(places, key=lambda place: abs(2 * place - len(released)), default=None)

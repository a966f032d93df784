"""Paced release: the quota of a campaign becomes claimable in tranches, by record time alone. Pure.

What no tranche names is claimable from the start. What is not released yet stays in the pool, and leases leave it
there: so the cards of a tranche that nobody took, a top-up and what comes back are claimable without more bookkeeping.
"""

from bisect import bisect_right
from collections.abc import Iterable
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


def straddled(campaign: Campaign, times_ms: Iterable[int]) -> bool:
    """Whether some of these moments are before a tranche and others after it."""
    if not campaign.tranches:
        return False
    moments = list(times_ms)
    return bool(moments) and _released(campaign, min(moments)) != _released(campaign, max(moments))

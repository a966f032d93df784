"""The tranches that spread a campaign's cards over its time. Pure."""

from collections.abc import Sequence
from typing import Final

from voucher_ledger.plan.campaign import MINUTE_MS, PlannedCampaign, Tranches
from voucher_ledger.plan.forecast import Demand

# As schemas/common.json has it.
TRANCHES_MAX: Final = 1_000
TRANCHE_MINUTES: Final = 10
# A part of the cards is spread evenly whatever the forecast says, which may be wrong about a quiet hour.
EVEN_PERCENT: Final = 10


def recommend(campaign: PlannedCampaign, rows: Sequence[Demand], count: int | None) -> Tranches:
    """Tranches at even distances (`count` of them; None: one each TRANCHE_MINUTES) that sum to the quota.

    EVEN_PERCENT of the cards are spread evenly over them, the others in proportion to the claims expected from each to
    the next. So every tranche covers about the same share of its claims: none is gone much sooner than another, and
    a claimant has about the same chance at any hour. Tranches that would release no card are left out.
    """
    starts = _moments(campaign, count)
    expected = _expected(campaign, rows, starts)
    total = sum(expected)
    even = EVEN_PERCENT / 100 if total else 1.0
    weights = [even / len(starts) + (1 - even) * claims / (total or 1) for claims in expected]
    quotas = apportion(campaign.quota, weights)
    return tuple((at_ms, quota) for at_ms, quota in zip(starts, quotas, strict=True) if quota)


def apportion(quota: int, weights: Sequence[float]) -> list[int]:
    """Whole shares in proportion to `weights` that sum to `quota`: the largest remainders are rounded up (Hamilton)."""
    # In whole numbers: a quota of 10^15 times a weight is more than a float holds exactly.
    scaled = [round(weight * 2**60) for weight in weights]
    total = sum(scaled)
    shares = [quota * weight // total for weight in scaled]
    by_remainder = sorted(range(len(scaled)), key=lambda place: (-(quota * scaled[place] % total), place))
    for place in by_remainder[: quota - sum(shares)]:
        shares[place] += 1
    return shares


def _moments(campaign: PlannedCampaign, count: int | None) -> list[int]:
    starts_at_ms, length_ms = campaign.rules.starts_at_ms, campaign.length_ms
    step_ms = TRANCHE_MINUTES * MINUTE_MS
    if count is None and length_ms <= TRANCHES_MAX * step_ms:
        return list(range(starts_at_ms, campaign.rules.ends_at_ms, step_ms))
    # Two tranches at one moment would be one.
    whole = min(TRANCHES_MAX if count is None else count, length_ms)
    return [starts_at_ms + length_ms * place // whole for place in range(whole)]


def _expected(campaign: PlannedCampaign, rows: Sequence[Demand], starts: Sequence[int]) -> list[float]:
    """The claims expected between each moment and the next."""
    begin_ms = campaign.rules.starts_at_ms
    bounds = [start - begin_ms for start in starts] + [campaign.length_ms]
    expected = [0.0] * len(starts)
    first = 0
    for row in rows:
        row_begin_ms, row_end_ms = row.minute * MINUTE_MS, (row.minute + row.length_minutes) * MINUTE_MS
        while first < len(starts) and bounds[first + 1] <= row_begin_ms:
            first += 1
        for place in range(first, len(starts)):
            if bounds[place] >= row_end_ms:
                break
            overlap_ms = min(bounds[place + 1], row_end_ms) - max(bounds[place], row_begin_ms)
            expected[place] += row.claims * overlap_ms / (row_end_ms - row_begin_ms)
    return expected

"""When quota and budget will be gone, with a range, and what the plan had been. Pure.

The range comes from the trend of the last ten minutes: net grants in windows of a minute that hop by ten seconds. The
fast end takes their 90 % quantile to go on, the slow end their 10 % quantile.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from voucher_ledger.monitor.buckets import Bucket, count_of
from voucher_ledger.monitor.windows import Buckets, hopping, per_second

GRANTED, EXPIRED = "voucher.granted", "voucher.expired"
TREND_SECONDS = 600
WIDTH_SECONDS = 60
HOP_SECONDS = 10
# Of fewer windows the quantiles would be no range: an end by one lucky window would look certain.
WINDOWS_MIN = 4
LOW, MIDDLE, HIGH = 0.1, 0.5, 0.9
# An end further away than this is no forecast but noise in a division.
HORIZON_SECONDS = 366 * 86_400


class Rates(NamedTuple):
    """Cards that leave the pool a second, net of those that came back: quantiles over the trend's windows."""

    low: float
    middle: float
    high: float


class Ends(NamedTuple):
    """Seconds since 1970 at which something is gone: at the high rate, the middle one, the low one; None is never."""

    early: float | None
    middle: float | None
    late: float | None


class Tranche(NamedTuple):
    """`quota` cards that become claimable `at` (seconds since 1970)."""

    at: int
    quota: int


class Supply(NamedTuple):
    """Cards that are `claimable` now, and the tranches `coming` later, in order of time."""

    claimable: int
    coming: tuple[Tranche, ...]


def net_grants(bucket: Bucket) -> int:
    """Grants less expiries: the cards that went out in the bucket's span."""
    return count_of(bucket, GRANTED) - count_of(bucket, EXPIRED)


def net_per_second(minutes: Buckets, start: int, end: int) -> list[int]:
    """Grants less expiries in each second from `start` until `end` (exclusive); 0 where seconds are no longer kept."""
    granted, returned = (per_second(minutes, (type_,), start, end) for type_ in (GRANTED, EXPIRED))
    return [out - back for out, back in zip(granted, returned, strict=True)]


def rates(minutes: Buckets, as_of: int, begins_at: int) -> Rates | None:
    """The trend at `as_of` of what is granted from `begins_at` on; None before there are WINDOWS_MIN windows of it.

    Windows are narrower while demand is younger than four of them, so that there is a range from the first minute on.
    """
    start = max(as_of - TREND_SECONDS, begins_at)
    if as_of - start < WINDOWS_MIN * HOP_SECONDS:
        return None
    quarter = (as_of - start) // 4
    width = min(WIDTH_SECONDS, max(HOP_SECONDS, quarter - quarter % HOP_SECONDS))
    net = net_per_second(minutes, start, as_of)
    samples = sorted(count / width for count in hopping(net, width, HOP_SECONDS))
    return Rates(quantile(samples, LOW), quantile(samples, MIDDLE), quantile(samples, HIGH))


def ends(left: float, trend: Rates, as_of: int, supply: Supply) -> Ends:
    """When `left` (cards, or money as cards' worth) is gone at these rates, no card granted before it is released."""
    return Ends(*(_end(left, rate, as_of, supply) for rate in (trend.high, trend.middle, trend.low)))


def granted_by(at: int, rate: float, as_of: int, supply: Supply) -> float:
    """Cards that are granted from `as_of` to `at` at this rate, none before it is released."""
    until, claimable, granted = as_of, float(supply.claimable), 0.0
    for tranche in supply.coming:
        if tranche.at >= at:
            break
        part = min(claimable, rate * (tranche.at - until))
        until, claimable, granted = tranche.at, claimable - part + tranche.quota, granted + part
    return granted + max(0.0, min(claimable, rate * (at - until)))


class Plan:
    """Cards that the plan has given out: evenly from start to end; of a paced campaign, each tranche evenly until the
    next, the last until the end. What no tranche names is spread over the whole. Tranches come in order of time.
    """

    def __init__(self, quota: int, starts_at: int, ends_at: int, tranches: Sequence[Tranche]) -> None:
        self._starts_at, self._ends_at, self._tranches = starts_at, ends_at, tranches
        self._begins = [tranche.at for tranche in tranches]
        self._before = [0, *accumulate(tranche.quota for tranche in tranches)]
        self._unpaced = max(0, quota - self._before[-1])

    def granted(self, at: int) -> float:
        """By `at` (seconds since 1970). A curve asks for a thousand moments, of hundreds of tranches."""
        planned = self._unpaced * _share(at, self._starts_at, self._ends_at)
        begun = bisect_right(self._begins, at)
        if begun == 0:
            return planned
        latest = self._tranches[begun - 1]
        until = self._begins[begun] if begun < len(self._begins) else self._ends_at
        return planned + self._before[begun - 1] + latest.quota * _share(at, latest.at, until)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Linear between the neighbours; `ordered` ascends and is not empty."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = math.ceil(place)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _end(left: float, rate: float, as_of: int, supply: Supply) -> float | None:
    if left <= 0:
        return float(as_of)
    if rate <= 0:
        return None
    since, claimable = as_of, float(supply.claimable)
    for tranche in supply.coming:
        part = min(claimable, rate * (tranche.at - since))
        if part >= left:
            break
        since, claimable, left = tranche.at, claimable - part + tranche.quota, left - part
    end = since + left / rate
    return None if end - as_of > HORIZON_SECONDS else end


def _share(at: int, start: int, end: int) -> float:
    if end <= start:
        return float(at >= end)
    return min(1.0, max(0.0, (at - start) / (end - start)))

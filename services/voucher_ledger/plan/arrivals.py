"""One possible day: when claims come, drawn from what is expected and how far that may be off. Pure and seeded."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from voucher_ledger.plan.campaign import MINUTE_MS
from voucher_ledger.plan.forecast import Demand, intervals


@dataclass(frozen=True, slots=True)
class Luck:
    """What a day has as a whole: `demand` multiplies its claims, `odds` the odds that a voucher becomes an order."""

    demand: float
    odds: float


def draw_luck(draw: Random, uncertainty: float) -> Luck:
    """How far a day is off its forecast; `uncertainty` is the standard deviation of its demand over its mean.

    Claims come as a Poisson process whose rate is the forecast times one lognormal factor a day: the Poisson lognormal
    distribution (M. G. Bulmer, On fitting the Poisson lognormal distribution to species-abundance data, Biometrics 30,
    1974). With s^2 = ln(1 + uncertainty^2) and Z standard normal the factor is exp(s Z - s^2 / 2): its mean is 1, so
    that the forecast stays what is expected, and its standard deviation is `uncertainty`. The odds of conversion are
    multiplied by exp(s Z') with a Z' of their own (logit-normal): a share stays a share, and the median the forecast.
    """
    variance = math.log1p(uncertainty * uncertainty)
    deviation = math.sqrt(variance)
    return Luck(math.exp(deviation * draw.gauss(0, 1) - variance / 2), math.exp(deviation * draw.gauss(0, 1)))


def arrivals(rows: Sequence[Demand], rate: float, draw: Random) -> Iterator[tuple[int, int]]:
    """Yield claims in the order of their times: milliseconds from the start, and the place of the row that it is of.

    Each row has `rate` times its claims in expectation; the gaps are exponential, which makes the counts Poisson.
    """
    for together in intervals(rows):
        sums = list(accumulate(rows[place].claims for place in together))
        expected = sums[-1] * rate
        if expected <= 0:
            continue
        first = rows[together[0]]
        length_ms = first.length_minutes * MINUTE_MS
        begin_ms, passed_ms = first.minute * MINUTE_MS, 0.0
        while (passed_ms := passed_ms + draw.expovariate(expected / length_ms)) < length_ms:
            part = 0 if len(sums) == 1 else bisect_right(sums, draw.random() * sums[-1])
            yield begin_ms + int(passed_ms), together[min(part, len(sums) - 1)]

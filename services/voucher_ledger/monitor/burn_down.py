"""Cards left over time: as it was, as the plan had it, and as the trend goes on. Pure."""

import math
from collections.abc import Mapping
from typing import Any

from voucher_ledger.monitor.buckets import MINUTE_SECONDS, Bucket
from voucher_ledger.monitor.facts import Facts
from voucher_ledger.monitor.forecast import granted_by, net_grants
from voucher_ledger.monitor.outlook import Buckets, Outlook

STEPS_AHEAD = 48
MINUTES_SHOWN_MAX = 1_440
AHEAD_SECONDS_MIN = 600
# The picture goes on a little past the end that is forecast.
AHEAD_OF_END = 1.2


def burn_down(buckets: Buckets, outlook: Outlook) -> dict[str, list[Any]] | None:
    """Lists of one length: moments `at` (seconds since 1970), cards `left` (None ahead), `planned` left, and by the
    high, middle and low rate of the trend `early`, `middle`, `late` (None in the past, and without a trend).
    """
    facts = outlook.facts
    if facts is None:
        return None
    past, left = _past(buckets.get("minute", {}), outlook.as_of, facts)
    ahead = _ahead(outlook, facts, past[0])
    plan, supply = facts.plan(), facts.supply(outlook.as_of)
    curves: dict[str, list[Any]] = {
        "at": [*past, *ahead],
        "left": [*left, *(None for _ in ahead)],
        "planned": [facts.quota - plan.granted(at) for at in (*past, *ahead)],
    }
    rates = outlook.rates
    for name, rate in zip(("early", "middle", "late"), rates[::-1] if rates else (None,) * 3, strict=True):
        behind = [None] * (len(past) - 1)
        curves[name] = [
            *behind,
            *(
                None if rate is None else facts.cards_left - granted_by(at, max(0.0, rate), outlook.as_of, supply)
                for at in (outlook.as_of, *ahead)
            ),
        ]
    return curves


def minute_starts(minutes: Mapping[int, Bucket], moment: int) -> list[int]:
    """Each minute from the oldest kept, at most a day of them, without the one that still runs."""
    if not minutes:
        return []
    end = moment - moment % MINUTE_SECONDS
    return list(range(max(min(minutes), end - MINUTE_SECONDS * MINUTES_SHOWN_MAX), end, MINUTE_SECONDS))


def _past(minutes: Mapping[int, Bucket], moment: int, facts: Facts) -> tuple[list[int], list[int]]:
    """The edges of the minutes and what was left at each: reckoned back from what is left now."""
    starts = minute_starts(minutes, moment)
    edges = [*starts, starts[-1] + MINUTE_SECONDS] if starts else [min(minutes)] if minutes else []
    edges = [at for at in edges if at < moment]
    left = [facts.cards_left]
    for at in reversed(edges):
        left.append(left[-1] + (net_grants(minutes[at]) if at in minutes else 0))
    # While rollups are behind the balances, what is reckoned would leave the possible.
    return [*edges, moment], [min(max(0, cards), max(facts.quota, facts.cards_left)) for cards in reversed(left)]


def _ahead(outlook: Outlook, facts: Facts, first: int) -> list[int]:
    seconds = float(max(AHEAD_SECONDS_MIN, outlook.as_of - first))
    if outlook.cards_end is not None:
        seconds = max(
            [seconds, *(AHEAD_OF_END * (at - outlook.as_of) for at in outlook.cards_end[:2] if at is not None)]
        )
    seconds = min(seconds, facts.ends_at - outlook.as_of)
    if seconds < STEPS_AHEAD:
        return []
    step = math.ceil(seconds / STEPS_AHEAD)
    return [outlook.as_of + step * number for number in range(1, STEPS_AHEAD + 1)]

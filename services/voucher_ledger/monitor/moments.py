"""Up to which moment each campaign's demand is known, from round to round. Reads no clock."""

import math
from collections.abc import Iterable
from typing import NamedTuple

from voucher_ledger.monitor.facts import Facts
from voucher_ledger.monitor.outlook import Buckets, as_of, newest_second

# A campaign past its end whose demand stood still for so long is over; one whose demand still moves is replayed.
STILL_SECONDS = 600.0


class _Course(NamedTuple):
    """What the last round saw of a campaign: the newest demand, when it last moved, and the moment that was known."""

    newest: int
    moved_at: float
    known: int


class Moments:
    """Past a campaign's end its moment never falls back to its newest demand, which may be from hours before.

    Else a campaign that was sold out early would be alarming again at its end, and for ever.
    """

    def __init__(self) -> None:
        self._courses: dict[str, _Course] = {}

    def of(
        self, campaign_id: str, buckets: Buckets, facts: Facts | None, now: float, lag_seconds: float | None,
        *, caught_up: bool,
    ) -> int:  # fmt: skip
        """The moment (seconds since 1970, record time) as `as_of` has it, and at least the end of one that is over."""
        newest = newest_second(buckets)
        before = self._courses.get(campaign_id)
        known = as_of(buckets, facts, now, lag_seconds, caught_up=caught_up)
        moved_at = -math.inf
        if before is not None:
            # What is read late says nothing: a monitor that was away reads of campaigns that are long over.
            moved_at = now if caught_up and newest > before.newest else before.moved_at
        is_past = facts is not None and now >= facts.ends_at
        if before is not None and is_past:
            known = max(known, before.known)
        self._courses[campaign_id] = _Course(newest, moved_at, known)
        if facts is not None and is_past and now - moved_at >= STILL_SECONDS:
            return max(known, facts.ends_at)
        return known

    def keep(self, campaign_ids: Iterable[str]) -> None:
        """Forget all others."""
        self._courses = {name: self._courses[name] for name in campaign_ids if name in self._courses}

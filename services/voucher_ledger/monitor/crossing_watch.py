"""When users who order across verticals are counted beside live traffic, and what was found last."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog

from voucher_ledger.monitor.crossing import Crossing, TooCostly
from voucher_ledger.runtime.errors import Unreachable

# At most so often, and at most this share of the time: a count of two seconds is followed by a rest of a hundred.
EVERY_SECONDS = 60.0
SHARE_OF_TIME_MAX = 0.02
# What was too costly is looked at again: orders of past campaigns may have been removed, or a burst is over.
TOO_COSTLY_REST_SECONDS = 1_800.0
# Until the first order there is nothing to count.
LOOK_SECONDS = 1.0

Count = Callable[[Collection[str]], Mapping[str, Crossing]]

log = structlog.get_logger()


class CrossingWatch:
    """Counts the campaigns that `wanted` names, again and again, in a thread of its own."""

    def __init__(
        self, count: Count, wanted: Callable[[], Collection[str]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` tells seconds from any moment on, for how long a count took."""
        self._clock = clock
        self._count = count
        self._wanted = wanted
        self.found: Mapping[str, Crossing] = {}
        self.counted_at: float | None = None
        self.problem: str | None = None

    async def counts(self) -> None:
        """Until cancelled. That it is too costly, or Postgres out of reach, is told once and shown; that tables or
        rights are missing is raised.
        """
        while True:
            wanted = self._wanted()
            await asyncio.sleep(await self.count_once(wanted) if wanted else LOOK_SECONDS)

    async def count_once(self, wanted: Collection[str]) -> float:
        """Count, and say after how many seconds to do it again."""
        started = self._clock()
        try:
            self.found = await asyncio.to_thread(self._count, wanted)
        except TooCostly as error:
            # What was counted before is no longer so, and would never be mended.
            self.found, self.counted_at = {}, None
            self._tell(str(error))
            return TOO_COSTLY_REST_SECONDS
        except Unreachable as error:
            self._tell(str(error))
            return EVERY_SECONDS
        self.counted_at, self.problem = time.time(), None
        return max(EVERY_SECONDS, (self._clock() - started) / SHARE_OF_TIME_MAX)

    def as_json(self, campaign_id: str) -> dict[str, Any]:
        """What the page shows of a campaign; `users` is absent where nothing was counted."""
        found = self.found.get(campaign_id)
        counted = {} if found is None else found.as_json()
        return {**counted, "at": self.counted_at, "problem": self.problem}

    def _tell(self, problem: str) -> None:
        if self.problem is None:
            log.warning("users across verticals are not counted", cause=problem)
        self.problem = problem

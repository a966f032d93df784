"""Holds a stream of records to a rate."""

from collections.abc import Callable

# After a pause (a slow pipe, a broker's restart) at most this much of the schedule is made up for,
CATCH_UP_SECONDS_MAX = 1.0
# so many times as fast as the rate: a whole second's records at once would be twice the rate that was asked for.
CATCH_UP_RATE_MAX = 1.1
# Waits last a little longer than they should, time and again. So much is made up for at once.
JITTER_SECONDS = 0.05


class Pace:
    """At most `rate` records a second on average; None is no limit. `clock` gives seconds that never go back.

    It begins with the first records: opening a client before them is no pause to be made up for. Raises ValueError
    where the rate is not above zero.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float]) -> None:
        if rate is not None and not rate > 0:
            raise ValueError(f"a rate of {rate} records a second: it must be above 0")
        self._rate = rate
        self._clock = clock
        self._due_seconds: float | None = None
        self._soonest_seconds = 0.0

    def wait_seconds(self, count: int) -> float:
        """How long to wait once `count` records more have been sent; 0.0 where the schedule is behind."""
        if self._rate is None:
            return 0.0
        now_seconds = self._clock()
        if self._due_seconds is None:
            self._due_seconds = self._soonest_seconds = now_seconds
        taken_seconds = count / self._rate
        self._due_seconds = max(self._due_seconds, now_seconds - CATCH_UP_SECONDS_MAX) + taken_seconds
        self._soonest_seconds = (
            max(self._soonest_seconds, now_seconds - JITTER_SECONDS) + taken_seconds / CATCH_UP_RATE_MAX
        )
        return max(0.0, self._due_seconds - now_seconds, self._soonest_seconds - now_seconds)

    def chunk(self, most: int) -> int:
        """How many records to send at once so that the pace stays even: 1/50 of a second's, at most `most`."""
        return most if self._rate is None else max(1, min(most, int(self._rate / 50)))

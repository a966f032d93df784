"""Holds a stream of records to a rate."""

from collections.abc import Callable

# After a pause (a slow pipe, a broker's restart) at most this much of the schedule is made up for in one burst.
CATCH_UP_SECONDS_MAX = 1.0


class Pace:
    """At most `rate` records a second on average; None is no limit. `clock` gives seconds that never go back.

    Raises ValueError where the rate is not above zero.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float]) -> None:
        if rate is not None and not rate > 0:
            raise ValueError(f"a rate of {rate} records a second: it must be above 0")
        self._rate = rate
        self._clock = clock
        self._due_seconds = clock()

    def wait_seconds(self, count: int) -> float:
        """How long to wait once `count` records more have been sent; 0.0 where the schedule is behind."""
        if self._rate is None:
            return 0.0
        now_seconds = self._clock()
        self._due_seconds = max(self._due_seconds, now_seconds - CATCH_UP_SECONDS_MAX) + count / self._rate
        return max(0.0, self._due_seconds - now_seconds)

    def chunk(self, most: int) -> int:
        """How many records to send at once so that the pace stays even: 1/50 of a second's, at most `most`."""
        return most if self._rate is None else max(1, min(most, int(self._rate / 50)))

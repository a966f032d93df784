"""When each copied record is due: as far after the first as the original was, by a factor sooner."""

from collections.abc import Callable


class Schedule:
    """`speed` 10 makes ten seconds of the original one second; 0 makes everything due at once.

    `clock` gives seconds that never go back. `late_seconds_max` is the most that a record was behind its time.
    """

    def __init__(self, speed: float, clock: Callable[[], float]) -> None:
        self._speed = speed
        self._clock = clock
        self._first_ms: int | None = None
        self._began_seconds = 0.0
        self.late_seconds_max = 0.0

    def wait_seconds(self, time_ms: int) -> float:
        """How long until the record of `time_ms` is due; the first one is due at once, and sets the clock."""
        if self._first_ms is None:
            self._first_ms, self._began_seconds = time_ms, self._clock()
        if not self._speed:
            return 0.0
        due_seconds = self._began_seconds + (time_ms - self._first_ms) / 1_000 / self._speed
        wait_seconds = due_seconds - self._clock()
        self.late_seconds_max = max(self.late_seconds_max, -wait_seconds)
        return max(0.0, wait_seconds)

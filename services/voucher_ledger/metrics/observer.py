"""The moments of a process that somebody may want to count. This one counts nothing: metrics are off by default."""

import time
from collections.abc import Sequence

from voucher_ledger.core.records import Command
from voucher_ledger.runtime.outbox import Share


class Laps:
    """Seconds that the stages of one batch took, by stage: `load`, `decide`, `write`, `commit`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    def end(self, stage: str) -> None:
        """Book what has passed since the last call (or the start) under `stage`."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now


class Observer:
    """Called at each moment of a process's life; never raises. Called from the thread that decides and from the one
    that publishes.
    """

    def turned(self) -> None:
        """The main loop has turned: the process is not stuck."""

    def ready(self, what: str) -> None:
        """It has its part of the work, described by `what`; also where that is to stand by."""

    def not_ready(self, why: str) -> None:
        """It has none, or has lost it."""

    def recovered(self, partitions: int, batches_again: int) -> None:
        """So many partitions were taken over, and so many batches of a predecessor are published again."""

    def session_lost(self, error: Exception) -> None:
        """A session ended by `error`."""

    def producer_made(self) -> None:
        """A transactional producer was made: for each assignment, and after each error of the one before."""

    def decided_again(self, cause: str) -> None:
        """A batch was rolled back, for `contention`, `fault` or a `tranche`, and is decided again or in parts."""

    def decided(self, commands: Sequence[Command], shares: Sequence[Share], laps: Laps) -> None:
        """A batch is committed in Postgres."""

    def submitted(self) -> None:
        """A batch waits to be published."""

    def published(self, batches: int, shares: Sequence[Share], seconds: float) -> None:
        """So many batches (and all of their shares) went out in one Kafka transaction that took `seconds`."""

    def publisher_stopped(self) -> None:
        """What was still waiting to be published is left to whoever takes over."""

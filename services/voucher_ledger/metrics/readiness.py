"""Whether a process does its work, and whether it lives at all: what /readyz and /healthz answer."""

import threading
import time

from voucher_ledger.runtime.hangs import TURN_SECONDS_MAX

# A batch may wait so long for a lock or a broker before it counts as stuck. Well below the 30 s after which Postgres
# ends a statement: a session that is lost then and begun anew is ready at once, and nothing would be told of a lock.
STUCK_SECONDS = 15.0
# A room's process ends itself a little earlier. Where it does not, whoever watches it is to start it again.
DEAD_SECONDS = TURN_SECONDS_MAX + 30.0


class Readiness:
    """What a process holds, when its loop last turned, and since when something waits to be published."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._what: str | None = None
        self._why_not = "starting"
        self._turned_seconds = time.monotonic()
        self._waiting_batches = 0
        self._waiting_since_seconds = 0.0

    @property
    def waiting_batches(self) -> int:
        """Decided batches that are not published yet."""
        return self._waiting_batches

    def ready(self, what: str) -> None:
        """It has work, or stands by."""
        self._what = what

    def not_ready(self, why: str) -> None:
        """It has none."""
        self._why_not, self._what = why, None

    def turned(self) -> None:
        """The main loop has turned."""
        self._turned_seconds = time.monotonic()

    def submitted(self) -> None:
        """A batch more waits to be published."""
        with self._lock:
            if self._waiting_batches == 0:
                self._waiting_since_seconds = time.monotonic()
            self._waiting_batches += 1

    def published(self, batches: int) -> None:
        """So many wait no longer: publishing moves."""
        with self._lock:
            self._waiting_batches = max(0, self._waiting_batches - batches)
            self._waiting_since_seconds = time.monotonic()

    def nothing_waits(self) -> None:
        """The publisher was stopped."""
        with self._lock:
            self._waiting_batches = 0

    def alive(self) -> tuple[bool, str]:
        """Whether the process is to be left alone, and a line for people: it is not where its loop hangs for good."""
        turned_seconds = time.monotonic() - self._turned_seconds
        if turned_seconds > DEAD_SECONDS:
            return False, f"hangs: the loop has not turned for {turned_seconds:.0f} s: start the process again"
        return True, "alive"

    def verdict(self) -> tuple[bool, str]:
        """Whether the process is ready, and a line for people: what it holds, or why it is not."""
        now_seconds = time.monotonic()
        what = self._what
        if what is None:
            return False, f"not ready: {self._why_not}"
        turned_seconds = now_seconds - self._turned_seconds
        if turned_seconds > STUCK_SECONDS:
            return False, f"stuck: the loop has not turned for {turned_seconds:.0f} s: a batch, Kafka or Postgres hangs"
        with self._lock:
            waiting, waited_seconds = self._waiting_batches, now_seconds - self._waiting_since_seconds
        if waiting and waited_seconds > STUCK_SECONDS:
            return False, f"stuck: {waiting} batches are decided, and none was published for {waited_seconds:.0f} s"
        return True, f"ready: {what}"

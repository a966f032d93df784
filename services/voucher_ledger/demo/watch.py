"""Watches the ledger's positions of the claims while the demo plays, and kills a processor in the middle of it."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

import psycopg

from voucher_ledger.demo.processors import Processors, ProcessorsDied
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.settings import Settings

POLL_SECONDS = 0.05
RATE_WINDOW_SECONDS = 1.0
SAMPLES_MAX = 100_000
HOLDERS_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 10.0

_POSITIONS = """
SELECT partition, next_offset, epoch, instance, coalesce(extract(epoch FROM record_time), 0)::float8
FROM ledger.position
WHERE topic = 'claim.commands' ORDER BY partition"""


class Position(NamedTuple):
    """One partition of claim.commands, as decided; `record_seconds` is the latest decided record's time, since 1970."""

    partition: int
    next_offset: int
    epoch: int
    instance: str
    record_seconds: float


class Sample(NamedTuple):
    """How many claim commands were decided at a moment of the monotonic clock."""

    at_seconds: float
    decided: int


@dataclass(frozen=True, slots=True)
class Takeover:
    """A kill and what came of it: `seconds` from SIGKILL to the first decision committed by the successor."""

    instance: str
    pid: int
    successor_pid: int | None
    after_claims: int
    seconds: float


@dataclass(slots=True)
class _Kill:
    instance: str
    pid: int
    at_seconds: float
    after_claims: int
    epochs: dict[int, int]
    offsets: dict[int, int]


class Watch:
    """A thread that looks every POLL_SECONDS, and counts from its first look. It kills the processor of the first
    partition once `kill_after` claims are decided (where another holds it by then, that one); `say` gets a line for the
    kill and one for the recovery. Nobody is killed where `kill_after` is None.
    """

    def __init__(
        self, settings: Settings, processors: Processors, kill_after: int | None, say: Callable[[str], None]
    ) -> None:
        self._processors = processors
        self._kill_after = kill_after
        self._say = say
        self._connection = postgres.connect(settings.postgres, application="demo-watch")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-watch", daemon=True)
        self._failure: Exception | None = None
        self._kill: _Kill | None = None
        self._positions: Sequence[Position] = ()
        self._decided_before: int | None = None
        self.samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self.takeover: Takeover | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(STOP_SECONDS_MAX)
        self._connection.close()

    def await_holders(self, instances: int, stop: threading.Event) -> bool:
        """Wait until so many instances hold the partitions between them; False where `stop` was set before.

        Raises ProcessorsDied, and what has ended the watch.
        """
        deadline = time.monotonic() + HOLDERS_SECONDS_MAX
        while len({position.instance for position in self._positions}) < instances:
            self._processors.check()
            self.check()
            if time.monotonic() > deadline:
                raise ProcessorsDied(
                    f"{instances} processors of claims did not begin within {HOLDERS_SECONDS_MAX:.0f} s"
                )
            if stop.wait(POLL_SECONDS):
                return False
        return True

    def check(self) -> None:
        """Raise what has ended the watch, if anything did."""
        if self._failure is not None:
            raise self._failure

    @property
    def decided(self) -> int:
        """Claim commands decided so far, expiries, admissions and rubbish among them."""
        return self.samples[-1].decided if self.samples else 0

    @property
    def lag_seconds(self) -> float:
        """How long ago the latest decided record of the partition that is furthest behind was written."""
        oldest_seconds = min((position.record_seconds for position in self._positions), default=0.0)
        return max(0.0, time.time() - oldest_seconds) if oldest_seconds else 0.0

    @property
    def rate_per_second(self) -> float:
        """Claim commands decided a second, over the last RATE_WINDOW_SECONDS."""
        return rates_per_second(list(self.samples)[-2 * round(RATE_WINDOW_SECONDS / POLL_SECONDS) :])[-1]

    def _run(self) -> None:
        try:
            while not self._stopping.wait(POLL_SECONDS):
                self._positions = [Position(*row) for row in self._connection.execute(_POSITIONS)]
                self._look(self._positions, time.monotonic())
        except (psycopg.Error, OSError) as error:
            if not self._stopping.is_set():
                self._failure = error

    def _look(self, positions: Sequence[Position], now_seconds: float) -> None:
        decided_ever = sum(position.next_offset for position in positions)
        if self._decided_before is None:
            self._decided_before = decided_ever
        decided = decided_ever - self._decided_before
        self.samples.append(Sample(now_seconds, decided))
        if self._kill is None:
            if self._kill_after is not None and decided >= self._kill_after:
                self._kill_one(positions, decided)
        elif self.takeover is None:
            self._look_for_successor(self._kill, positions, now_seconds)

    def _kill_one(self, positions: Sequence[Position], decided: int) -> None:
        instance = positions[0].instance
        pid = self._processors.pid_of(instance)
        if pid is None:
            return  # it is being restarted for another reason: look again in a moment
        os.kill(pid, signal.SIGKILL)
        theirs = [position for position in positions if position.instance == instance]
        self._kill = _Kill(
            instance, pid, time.monotonic(), decided,
            {position.partition: position.epoch for position in theirs},
            {position.partition: position.next_offset for position in theirs},
        )  # fmt: skip
        self._say(f"killed {instance} (pid {pid}) after {decided:,} claims, without warning (SIGKILL)")

    def _look_for_successor(self, kill: _Kill, positions: Sequence[Position], now_seconds: float) -> None:
        """A partition taken over has a higher epoch; a COMMIT that was under way at the kill moves it under the old."""
        for position in positions:
            known_epoch = kill.epochs.get(position.partition)
            if known_epoch is None:
                continue
            if position.epoch == known_epoch:
                kill.offsets[position.partition] = position.next_offset
            elif position.next_offset > kill.offsets[position.partition]:
                seconds = now_seconds - kill.at_seconds
                successor_pid = self._processors.pid_of(position.instance)
                self.takeover = Takeover(kill.instance, kill.pid, successor_pid, kill.after_claims, seconds)
                self._say(
                    f"{position.instance} (pid {successor_pid}) has taken over: decided again after {seconds:.1f} s"
                )
                return


def rates_per_second(samples: Sequence[Sample]) -> list[float]:
    """For each sample the records a second since the latest one that is RATE_WINDOW_SECONDS or more older; [0.0] where
    no two are so far apart.
    """
    rates: list[float] = []
    start = 0
    for sample in samples:
        while start + 1 < len(samples) and sample.at_seconds - samples[start + 1].at_seconds >= RATE_WINDOW_SECONDS:
            start += 1
        past_seconds = sample.at_seconds - samples[start].at_seconds
        if past_seconds >= RATE_WINDOW_SECONDS:
            rates.append((sample.decided - samples[start].decided) / past_seconds)
    return rates or [0.0]


def claims_phase(samples: Sequence[Sample], claims: int) -> list[Sample]:
    """The samples from the last before the first decision to the first with all `claims` decided."""
    begin = max(0, next((index for index, sample in enumerate(samples) if sample.decided > 0), 0) - 1)
    end = next((index for index, sample in enumerate(samples) if sample.decided >= claims), len(samples) - 1)
    return list(samples[begin : end + 1])


def mean_per_second(samples: Sequence[Sample]) -> float:
    """Records a second over all samples; 0.0 of fewer than two."""
    if len(samples) < 2 or samples[-1].at_seconds <= samples[0].at_seconds:
        return 0.0
    return (samples[-1].decided - samples[0].decided) / (samples[-1].at_seconds - samples[0].at_seconds)

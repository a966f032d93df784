"""Who is measured: the ledger's rooms as processes of their own, and the peers; all started and stopped alike."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.kafka_streams import peer
from benchmarks.world import LOOK_AGAIN_SECONDS, World
from voucher_ledger.runtime import kafka

READY_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
# From owning its partitions to waiting for records: a contestant must not be frozen in the middle of it.
SETTLE_SECONDS = 0.5
LOG_LINES_SHOWN = 20
PARTITIONS = 8
EVENT_BY_ROOM = {"claims": "claim", "orders": "order", "payments": "payment"}


class ContestantFailed(Exception):
    """A contestant ended or never became ready; the text holds the end of its log."""


@dataclass(slots=True)
class Running:
    """A contestant that waits for records. `group` commits its offsets in `command_topic` with its answers."""

    runtime: str
    group: str
    command_topic: str
    event_topic: str
    processes: list[subprocess.Popen[bytes]]
    logs: list[Path]

    def check(self) -> None:
        """Raise ContestantFailed where a process has ended."""
        for process, log in zip(self.processes, self.logs, strict=True):
            if process.poll() is not None:
                raise ContestantFailed(f"{process.args!r} ended with {process.returncode}; its log ends:\n{_tail(log)}")

    def freeze(self) -> None:
        """Stop all processes where they are, so that their topic can be filled."""
        for process in self.processes:
            process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let all processes go on, at once."""
        for process in self.processes:
            process.send_signal(signal.SIGCONT)

    def wait(self, is_ready: Callable[[], bool]) -> None:
        """Return once `is_ready`. Raises ContestantFailed."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise ContestantFailed(f"not ready after {READY_SECONDS_MAX} s; its log ends:\n{_tail(self.logs[0])}")
            time.sleep(LOOK_AGAIN_SECONDS)
        time.sleep(SETTLE_SECONDS)


@dataclass(frozen=True, slots=True)
class Ledger:
    """A room of the ledger in `processes` processes, started by the command line, with all that it checks; and with the
    `sweeper`, where the measurement needs one.
    """

    room: str
    processes: int
    sweeper: bool = False

    @contextmanager
    def running(self, world: World) -> Iterator[Running]:
        """Started, every process with partitions of its own."""
        stem = EVENT_BY_ROOM[self.room]
        topic = f"{stem}.commands"
        names = [f"{self.room}-{number}" for number in range(self.processes)]
        crew = _Crew("python", kafka.group_of(self.room), topic, f"{stem}.events", world)
        before = world.connection.execute("SELECT max(epoch) FROM books.position WHERE topic = %s", (topic,)).fetchone()
        epoch = (before and before[0]) or 0
        with crew.stopped_at_the_end() as running:
            for name in names:
                crew.start([sys.executable, "-m", "voucher_ledger", "run", self.room, "--instance", name], name)
            if self.sweeper:
                crew.start([sys.executable, "-m", "voucher_ledger", "run", "sweeper"], "sweeper")

            def shared_out() -> bool:
                row = world.connection.execute(
                    "SELECT count(*), count(DISTINCT instance) FROM books.position WHERE topic = %s AND epoch > %s",
                    (topic, epoch),
                ).fetchone()
                return row == (PARTITIONS, self.processes)

            running.wait(shared_out)
            yield running


@dataclass(frozen=True, slots=True)
class KafkaStreams:
    """The Kafka Streams peer; see benchmarks/peers/kafka_streams."""

    store: peer.Store
    threads: int = 2

    @contextmanager
    def running(self, world: World) -> Iterator[Running]:
        """Started, in state RUNNING."""
        state = world.servers.directory / f"streams-{self.store}-{time.time_ns()}"
        crew = _Crew("java", peer.application_id(state), "claim.commands", "claim.events", world)
        log = state.with_suffix(".log")
        with crew.stopped_at_the_end() as running:
            process = peer.start(
                world.settings.kafka, "claim.commands", "claim.events", self.store, self.threads, state, log
            )
            running.processes.append(process)
            running.logs.append(log)
            peer.wait_until_running(process, log)
            time.sleep(SETTLE_SECONDS)
            yield running


@dataclass(frozen=True, slots=True)
class RowAtATime:
    """The consumer that many would write first; see benchmarks/peers/row_at_a_time.py."""

    @contextmanager
    def running(self, world: World) -> Iterator[Running]:
        """Started, with its partitions."""
        crew = _Crew("python", "row-at-a-time", "claim.commands", "claim.events", world)
        with crew.stopped_at_the_end() as running:
            crew.start([sys.executable, "-m", "benchmarks.peers.row_at_a_time"], "row-at-a-time")
            running.wait(lambda: "RUNNING" in running.logs[0].read_text(errors="replace").splitlines())
            yield running


Contestant = Ledger | KafkaStreams | RowAtATime


@dataclass(slots=True)
class _Crew:
    runtime: str
    group: str
    command_topic: str
    event_topic: str
    world: World
    running: Running = field(init=False)

    def __post_init__(self) -> None:
        self.running = Running(self.runtime, self.group, self.command_topic, self.event_topic, [], [])

    def start(self, command: list[str], name: str) -> None:
        """Start a process; what it prints goes to a log of its own."""
        log = self.world.servers.directory / f"{name}-{time.time_ns()}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                command,
                env={**os.environ, **self.world.variables},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
            )
        self.running.processes.append(process)
        self.running.logs.append(log)

    @contextmanager
    def stopped_at_the_end(self) -> Iterator[Running]:
        """Ask all processes to finish at the end; kill those that do not."""
        try:
            yield self.running
        finally:
            for process in self.running.processes:
                process.send_signal(signal.SIGCONT)
                process.terminate()
            for process in self.running.processes:
                try:
                    process.wait(STOP_SECONDS_MAX)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])

"""`run all`: each room in a process of its own, and the monitor in another, restarted when it dies, within a bound."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field

import structlog

from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.run.single import Stopping
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.processor import INSTANCES_MAX, instance_lock
from voucher_ledger.runtime.settings import METRICS_PORT, Settings, SettingsError

RESTARTS_MAX = 5
RESTART_WINDOW_SECONDS = 60.0
# An outage is mended elsewhere, so a worker that cannot reach Kafka or Postgres waits for its end: short rests first,
# since most are over soon, and an end at last, since whoever watches processes should learn of what lasts.
OUTAGE_REST_SECONDS = 1.0
OUTAGE_REST_SECONDS_MAX = 10.0
OUTAGE_SECONDS_MAX = 600.0
# One that never reached them has a wrong address, more likely.
UNREACHED_SECONDS_MAX = 30.0
# A worker that lived so long had reached both: what ended it is another outage.
OUTAGE_LIFE_SECONDS = 30.0
# What is decided is published within 20 s, or by whoever takes over. A worker that takes longer hangs, and would end
# itself somewhat later: being killed comes to the same.
STOP_SECONDS_MAX = 30.0
WATCH_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1
_PORT_MAX = 65_535
# Decides nothing and nothing waits for it: the rooms go on where it cannot run.
MONITOR = "monitor"
# Neither has an instance name.
_NAMELESS = ("sweeper", MONITOR)

# What a start more would not change.
_CANNOT_RUN: dict[int, str] = {
    ExitCode.USAGE: "worker cannot run: its settings or the set-up are wrong, stopping all",
    ExitCode.INSTANCE_TAKEN: "worker cannot run: no instance name is free, stopping all",
}

log = structlog.get_logger()


@dataclass(slots=True)
class Worker:
    """A room's process under the name `instance` (None: it has none, or each start takes a free one).

    `starts` are the times of its latest starts but those that an outage ended, `metrics_port` is its own (0: none).
    `again_at` (monotonic seconds) is when one that rests is started again, `unreachable_since` when an outage first
    ended it, and `rest_seconds` its next rest in that outage. `reached` tells that it ever was at work.
    """

    room: str
    instance: str | None
    metrics_port: int = 0
    process: subprocess.Popen[bytes] | None = None
    again_at: float | None = None
    starts: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS_MAX + 1))
    unreachable_since: float | None = None
    rest_seconds: float = 0.0
    reached: bool = False

    def start(self) -> None:
        """Start the process under this worker's instance name."""
        name = [] if self.instance is None else ["--instance", self.instance]
        command = [sys.executable, "-m", "voucher_ledger", "run", self.room, *name]
        variables = {**os.environ, METRICS_PORT: str(self.metrics_port)}
        self.process = subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 (one thread here)
        )
        self.starts.append(time.monotonic())
        self.again_at = None
        log.info("worker started", room=self.room, instance=self.instance, pid=self.process.pid)

    def rest(self, seconds: float) -> None:
        """Be started again once so many seconds have passed."""
        self.process = None
        self.again_at = time.monotonic() + seconds

    def restarts_too_often(self) -> bool:
        """Whether one more start would be over the bound."""
        return len(self.starts) > RESTARTS_MAX and time.monotonic() - self.starts[0] < RESTART_WINDOW_SECONDS


def workers(settings: Settings, processes: dict[str, int]) -> list[Worker]:
    """Workers for `processes` (a count by room), rooms under names that are free now; a name outlives restarts, so
    that a successor takes over from its predecessor at once. Raises SettingsError where ports do not suffice.
    """
    made: list[Worker] = []
    with postgres.connect(settings.postgres, application="run-all") as connection:
        for room, count in processes.items():
            if room in _NAMELESS:
                made.extend(Worker(room, None) for _ in range(count))
                continue
            free = (
                name
                for name in (f"{room}-{number}" for number in range(INSTANCES_MAX))
                if postgres.try_lock(connection, instance_lock(name))
            )
            made.extend(Worker(room, next(free)) for _ in range(count))
    return _with_ports(made, settings.metrics_port)


def _with_ports(crew: list[Worker], base_port: int) -> list[Worker]:
    """Give each worker a port of its own for its metrics, in the crew's order: `base_port` and those after it. The
    monitor has its own address.
    """
    served = [worker for worker in crew if worker.room != MONITOR]
    if base_port + len(served) - 1 > _PORT_MAX:
        raise SettingsError(f"{METRICS_PORT}: {len(served)} processes need as many ports from {base_port} on")
    if base_port:
        for number, worker in enumerate(served):
            worker.metrics_port = base_port + number
    return crew


def supervise(crew: list[Worker], stopping: Stopping) -> int:
    """Run the crew until `stopping` is set; the exit code. A worker that dies is started again; one that dies more
    than RESTARTS_MAX times within a minute, or with a code that a restart cannot change (a wrong setting, no topics or
    tables, no name left), ends all with that code; so does one that an outage keeps from its work for
    OUTAGE_SECONDS_MAX (UNREACHED_SECONDS_MAX from the start). The monitor ends nobody: see _spare.
    """
    try:
        for worker in crew:
            worker.start()
        while not stopping.wait(WATCH_SECONDS):
            for worker in crew:
                code = None if worker.process is None else worker.process.poll()
                if worker.again_at is not None and time.monotonic() >= worker.again_at:
                    worker.start()
                if code is not None and _ends_all(worker, code):
                    return code if code > 0 else ExitCode.FAILED
        log.info("told to stop, ending all", signal=stopping.told_by)
        return ExitCode.DONE
    finally:
        _stop(crew)


def _ends_all(worker: Worker, code: int) -> bool:
    """Whether that this one ended with `code` ends all; else it is started again, at once or after a rest."""
    if time.monotonic() - worker.starts[-1] > OUTAGE_LIFE_SECONDS:
        worker.reached, worker.unreachable_since = True, None
    if code == ExitCode.UNREACHABLE:
        return _outlasted(worker)
    worker.unreachable_since = None
    if worker.room == MONITOR and _spare(worker, code):
        return False
    if code == ExitCode.INSTANCE_TAKEN and worker.instance is not None:
        # It was chosen here, so another does as well: a second `run all` began just then, or, in an outage, another
        # process came first once the name was free.
        log.warning("instance name taken by another process, taking a free one", room=worker.room, was=worker.instance)
        worker.instance = None
        worker.start()
        return False
    why = _CANNOT_RUN.get(code, "worker keeps dying, stopping all" if worker.restarts_too_often() else None)
    if why is not None:
        log.error(why, room=worker.room, exit_code=code)
        return True
    log.warning("worker died, starting it again", room=worker.room, exit_code=code)
    worker.start()
    return False


def _outlasted(worker: Worker) -> bool:
    """Whether the outage that ended this one has outlasted the bound; else it rests, longer each time. Such a death is
    none of those that RESTARTS_MAX bounds: a minute without Postgres would end all, and nothing would run after it.
    """
    now = time.monotonic()
    worker.starts.pop()
    if worker.unreachable_since is None:
        worker.unreachable_since, worker.rest_seconds = now, OUTAGE_REST_SECONDS
    outage_seconds = now - worker.unreachable_since
    told = log.bind(room=worker.room, exit_code=int(ExitCode.UNREACHABLE))
    seconds_max = OUTAGE_SECONDS_MAX if worker.reached else UNREACHED_SECONDS_MAX
    if worker.room != MONITOR and outage_seconds > seconds_max:
        told.error("worker cannot reach Kafka or Postgres, stopping all", outage_seconds=round(outage_seconds))
        return True
    told.warning("worker cannot reach Kafka or Postgres, starting it again", after_seconds=worker.rest_seconds)
    worker.rest(worker.rest_seconds)
    worker.rest_seconds = min(2 * worker.rest_seconds, OUTAGE_REST_SECONDS_MAX)
    return False


def _spare(worker: Worker, code: int) -> bool:
    """Whether this one, which ended with `code`, is not started again at once. It rests a while where another monitor
    runs (it takes over once that ends) or it died too often, and for good where its settings are wrong.
    """
    if code == ExitCode.USAGE:
        log.error("the monitor cannot run, going on without it", exit_code=code)
        worker.process = None
    elif code == ExitCode.INSTANCE_TAKEN or worker.restarts_too_often():
        log.error("the monitor cannot run now", exit_code=code, again_after_seconds=RESTART_WINDOW_SECONDS)
        worker.rest(RESTART_WINDOW_SECONDS)
    else:
        return False
    return True


def _stop(crew: list[Worker]) -> None:
    """Ask all to finish, wait for them within a bound, then kill what is left (the ledger recovers from that too)."""
    running = [worker.process for worker in crew if worker.process is not None and worker.process.poll() is None]
    for process in running:
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("worker did not finish in time, killed", pid=process.pid)
            process.kill()
            process.wait()


def _die_with_parent() -> None:
    """Linux: the worker gets SIGTERM when its supervisor is gone, however it went."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

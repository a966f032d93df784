"""What a measurement costs: CPU seconds by who spent them, and memory."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.contestants import Running
from benchmarks.world import Servers


@dataclass(frozen=True, slots=True)
class Snapshot:
    """CPU seconds spent so far, at `monotonic` seconds. `machine` is the whole machine's, `stolen` what its host gave
    to others.
    """

    monotonic: float
    own: float
    kafka: float
    postgres: float
    machine: float
    stolen: float


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds between two snapshots. `elsewhere` is spent by no contestant: the harness, and other programs."""

    seconds: float
    own: float
    kafka: float
    postgres: float
    elsewhere: float
    stolen: float


def snapshot(running: Running, servers: Servers) -> Snapshot:
    """What everybody has spent by now."""
    own = cpu_seconds([psutil.Process(process.pid) for process in running.processes])
    machine = psutil.cpu_times()
    return Snapshot(
        time.monotonic(),
        own,
        cpu_seconds([servers.kafka]),
        cpu_seconds([servers.postgres]),
        machine.user + machine.nice + machine.system + machine.irq + machine.softirq,
        machine.steal,
    )


def between(start: Snapshot, end: Snapshot) -> Cost:
    """The difference of two snapshots."""
    own, kafka, postgres = end.own - start.own, end.kafka - start.kafka, end.postgres - start.postgres
    elsewhere = max(0.0, end.machine - start.machine - own - kafka - postgres)
    return Cost(end.monotonic - start.monotonic, own, kafka, postgres, elsewhere, end.stolen - start.stolen)


def cpu_seconds(roots: Sequence[psutil.Process]) -> float:
    """CPU of the processes and all their descendants, those that ended (and were waited for) included."""
    total = 0.0
    for root in roots:
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # it ended just now; its parent's times hold it from here on
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def resident_peak_mib(running: Running) -> list[float]:
    """The most memory that each process ever had resident, in MiB (Linux: VmHWM)."""
    peaks = []
    for process in running.processes:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        found = next((line for line in lines if line.startswith("VmHWM:")), None)
        peaks.append(float(found.split()[1]) / 1024 if found else psutil.Process(process.pid).memory_info().rss / 2**20)
    return peaks

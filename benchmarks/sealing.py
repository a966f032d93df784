"""`python -m benchmarks.sealing`: what seals cost a claims processor, as a share of the whole batch.

Batch after batch is decoded, decided and committed in one process on a real Postgres, in turns sealed and not. The
sealing of each (its digests, and the row with its trigger) is timed by itself, which is exact to the microsecond; what
it adds to the whole, the check of the outbox row among it, is the difference of pairs, which other work on the machine
blurs. Neither reading from Kafka nor writing to it is counted, so the shares of a whole process are less.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from unittest import mock

import psycopg

from benchmarks import traffic
from benchmarks.observing import AS_OPERATED, ROUNDS_NOT_COUNTED, Measurement, nothing
from benchmarks.world import World, fresh_world, servers
from voucher_ledger.runtime import postgres, seals
from voucher_ledger.runtime.outbox import Share

_row, _append = seals.row, seals.append


@dataclass(slots=True)
class Costs:
    """Nanoseconds a claim, a batch each: of whole batches with seals and without, and of the sealing in the former.
    `digests` is the part of it that is this process' own work.
    """

    sealed_cpu: list[float] = field(default_factory=list)
    sealed_wall: list[float] = field(default_factory=list)
    bare_cpu: list[float] = field(default_factory=list)
    bare_wall: list[float] = field(default_factory=list)
    sealing_cpu: list[float] = field(default_factory=list)
    sealing_wall: list[float] = field(default_factory=list)
    digests: list[float] = field(default_factory=list)


class Sealing:
    """Seals as the runtime does, and times it."""

    def __init__(self) -> None:
        self.cpu_ns = 0
        self.wall_ns = 0
        self.digests_ns = 0

    def row(self, topic: str, share: Share, joined: bytes) -> seals.Row:
        """Stand in for `seals.row`."""
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        made = _row(topic, share, joined)
        took_ns = time.perf_counter_ns() - wall
        self.digests_ns += took_ns
        self.wall_ns += took_ns
        self.cpu_ns += time.thread_time_ns() - cpu
        return made

    def append(self, connection: psycopg.Connection, topic: str, rows: Sequence[seals.Row]) -> None:
        """Stand in for `seals.append`."""
        cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
        _append(connection, topic, rows)
        self.wall_ns += time.perf_counter_ns() - wall
        self.cpu_ns += time.thread_time_ns() - cpu


def measured(world: World, records: int, rounds: int) -> Costs:
    """Batches of `records` claims, in turns with seals and without; who goes first changes from round to round."""
    costs = Costs()
    settings = world.settings
    with (
        postgres.connect(settings.postgres, application="sealing", batch=True) as connection,
        postgres.connect(settings.postgres, application="sealing-switch") as switch,
    ):
        measurement = Measurement(connection)
        for number in range(rounds):
            for sealed in (True, False) if number % 2 else (False, True):
                _batch(measurement, switch, records, costs, sealed=sealed)
    for name in Costs.__slots__:
        setattr(costs, name, getattr(costs, name)[ROUNDS_NOT_COUNTED:])
    return costs


def _batch(
    measurement: Measurement, switch: psycopg.Connection, records: int, costs: Costs, *, sealed: bool
) -> None:  # fmt: skip
    sealing = Sealing()
    row, append = (sealing.row, sealing.append) if sealed else (nothing, nothing)
    switch.execute(f"ALTER TABLE books.outbox {'ENABLE' if sealed else 'DISABLE'} TRIGGER outbox_sealed".encode())
    with mock.patch.object(seals, "row", row), mock.patch.object(seals, "append", append):
        cpu, wall = measurement.timed(AS_OPERATED, records)
    if sealed:
        costs.sealed_cpu.append(cpu)
        costs.sealed_wall.append(wall)
        costs.sealing_cpu.append(sealing.cpu_ns / records)
        costs.sealing_wall.append(sealing.wall_ns / records)
        costs.digests.append(sealing.digests_ns / records)
    else:
        costs.bare_cpu.append(cpu)
        costs.bare_wall.append(wall)


def tell(records: int, costs: Costs) -> None:
    """Print microseconds a claim: medians, and the lower decile, since whatever else the machine does can only add."""
    print(f"batches of {records:,} claims, {len(costs.bare_wall)} of each: microseconds a claim")
    for name, wall, cpu in (
        ("a whole batch without seals", costs.bare_wall, costs.bare_cpu),
        ("a whole batch with seals   ", costs.sealed_wall, costs.sealed_cpu),
        ("the sealing in it          ", costs.sealing_wall, costs.sealing_cpu),
    ):
        print(f"  {name} until done: {_shown(wall)}   CPU of the process: {_shown(cpu)}")
    print(f"  of the sealing, digests and checks: median {statistics.median(costs.digests) / 1000:5.2f}")
    wall_share = statistics.median(costs.sealing_wall) / statistics.median(costs.bare_wall)
    cpu_share = statistics.median(costs.sealing_cpu) / statistics.median(costs.bare_cpu)
    pairs = [one - other for one, other in zip(costs.sealed_wall, costs.bare_wall, strict=True)]
    added = statistics.median(pairs) / statistics.median(costs.bare_wall)
    print(f"  sealing / whole batch: {wall_share:.2%} of the time, {cpu_share:.2%} of the CPU; in pairs {added:+.1%}")


def _shown(costs: list[float]) -> str:
    return f"median {statistics.median(costs) / 1000:6.2f}, lower decile {_least(costs) / 1000:6.2f}"


def _least(costs: list[float]) -> float:
    return statistics.quantiles(costs, n=10)[0]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure on a cluster of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sealing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--records", type=int, nargs="*", default=[5_000, 500])
    given = parser.parse_args(arguments)
    for records in given.records:
        with servers() as running, fresh_world(running, traffic.campaign_open(2 * records * given.rounds)) as world:
            tell(records, measured(world, records, given.rounds))


if __name__ == "__main__":
    main()

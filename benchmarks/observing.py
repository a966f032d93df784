"""`python -m benchmarks.observing`: what rollups and metrics cost a claims processor, in CPU of the process.

Batch after batch is decoded, decided and committed on a real Postgres, in turns without either, with rollups, and with
rollups and metrics; neither reading from Kafka nor writing to it is counted, so the shares of a whole process are less.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any
from unittest import mock

import psycopg
from confluent_kafka import TIMESTAMP_CREATE_TIME
from prometheus_client import CollectorRegistry

from benchmarks import traffic
from benchmarks.world import World, fresh_world, servers
from voucher_ledger.claims.store import ClaimsRoom
from voucher_ledger.core.demand import Tally
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.metrics.observer import Observer
from voucher_ledger.metrics.readiness import Readiness
from voucher_ledger.metrics.room import RoomMetrics
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.decider import Decider
from voucher_ledger.runtime.incoming import incoming
from voucher_ledger.runtime.outbox import Outbox
from voucher_ledger.runtime.positions import Positions
from voucher_ledger.runtime.windows import Windows

PARTITIONS = 8
KINDS = ("neither", "rollups", "rollups and metrics")
AS_OPERATED = KINDS[-1]
# Statements are prepared and the lease is drawn in the first ones.
ROUNDS_NOT_COUNTED = 2


class _Record:
    """A consumed record, as the decider sees it."""

    def __init__(self, record: traffic.Record, partition: int, offset: int, time_ms: int) -> None:
        self._key, self._value = record
        self._partition, self._offset, self._time_ms = partition, offset, time_ms

    def error(self) -> None:
        return None

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return self._value

    def timestamp(self) -> tuple[int, int]:
        return (TIMESTAMP_CREATE_TIME, self._time_ms)

    def headers(self) -> list[Any]:
        return []

    def set_headers(self, value: list[Any], /) -> None:
        raise AssertionError(f"a well-formed record's headers can be read, yet {value} were set")


class Measurement:
    """Decides batches of claims in this process, each as one of KINDS."""

    def __init__(self, connection: psycopg.Connection) -> None:
        room = ClaimsRoom(PARTITIONS)
        positions = Positions(room.command_topic, "benchmark", "claims-0")
        self._decoder = CommandDecoder(room.command_topic)
        self._offset = 0
        self._claims = 0
        metrics = RoomMetrics(room.name, CollectorRegistry(), Readiness())
        observers: dict[str, Observer] = {"neither": Observer(), "rollups": Observer(), "rollups and metrics": metrics}
        held = {number: positions.raise_epoch(connection, number, 0) for number in range(PARTITIONS)}
        self._deciders = {
            kind: Decider(
                room, connection, positions, Outbox(room.command_topic, room.key_field), 10, Windows(), observer
            )
            for kind, observer in observers.items()
        }
        for decider in self._deciders.values():
            decider.positions = held
        self._observers = observers

    def batch(self, kind: str, records: int) -> float:
        """CPU nanoseconds a claim of one batch."""
        return self.timed(kind, records)[0]

    def timed(self, kind: str, records: int) -> tuple[float, float]:
        """CPU nanoseconds of this process, and nanoseconds until it was done, a claim of one batch."""
        consumed = self._consumed(records)
        decider, observer = self._deciders[kind], self._observers[kind]
        with ExitStack() as without:
            if kind == "neither":
                without.enter_context(mock.patch.object(Tally, "add", nothing))
            began, began_wall = time.thread_time_ns(), time.perf_counter_ns()
            items = [incoming(record, record.partition(), record.offset(), self._decoder) for record in consumed]
            shares = decider.decide(items, dict.fromkeys(range(PARTITIONS), self._offset))
            for share in shares:
                for rollup in share.rollups:
                    rollup.record()
            observer.published(1, shares, 0.01)
            cpu, wall = time.thread_time_ns() - began, time.perf_counter_ns() - began_wall
            return cpu / records, wall / records

    def _consumed(self, count: int) -> list[_Record]:
        share = count // PARTITIONS
        now_ms = time.time_ns() // 1_000_000
        consumed = [
            _Record(
                traffic.claim(f"c-{self._claims + number}", self._claims + number),
                number // share,
                self._offset + number % share,
                now_ms - (count - number) // 10,
            )
            for number in range(share * PARTITIONS)
        ]
        self._claims += count
        self._offset += share
        return consumed


def nothing(*_: object) -> None:
    """Stand in for what is left out."""


def compare(batch: Callable[[str], float], rounds: int, kinds: Sequence[str] = KINDS) -> dict[str, list[float]]:
    """What `batch` measures, nanoseconds a claim, by kind, a round each; who goes first changes from round to round."""
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for number in range(rounds):
        turn = number % len(kinds)
        for kind in (*kinds[turn:], *kinds[:turn]):
            found[kind].append(batch(kind))
    return {kind: costs[ROUNDS_NOT_COUNTED:] for kind, costs in found.items()}


def tell(records: int, found: dict[str, list[float]]) -> None:
    """Print what a claim costs by kind: in pairs with the kind before it in the same round, and by the lower deciles,
    since whatever else the machine does can only add.
    """
    print(f"batches of {records:,} claims, {len(found['neither'])} rounds: CPU of the process, microseconds a claim")
    base, before = found["neither"], found["neither"]
    for kind, costs in found.items():
        added = statistics.median([cost - other for cost, other in zip(costs, before, strict=True)])
        more = _lower_decile(costs) - _lower_decile(before)
        print(
            f"  {kind} median {statistics.median(costs) / 1000:6.2f}  lower decile {_lower_decile(costs) / 1000:6.2f}"
            f"  added in pairs {added / 1000:+5.2f} ({added / statistics.median(base):+.1%})"
            f", by lower deciles {more / 1000:+5.2f} ({more / _lower_decile(base):+.1%})"
        )
        before = costs


def _lower_decile(costs: list[float]) -> float:
    return statistics.quantiles(costs, n=10)[0]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure on a cluster of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.observing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--records", type=int, nargs="*", default=[5_000, 500])
    given = parser.parse_args(arguments)
    for records in given.records:
        quota = len(KINDS) * records * given.rounds
        with servers() as running, fresh_world(running, traffic.campaign_open(quota)) as world:
            tell(records, _compared(world, records, given.rounds))


def _compared(world: World, records: int, rounds: int) -> dict[str, list[float]]:
    with postgres.connect(world.settings.postgres, application="observing", batch=True) as connection:
        measurement = Measurement(connection)
        return compare(lambda kind: measurement.batch(kind, records), rounds)


if __name__ == "__main__":
    main()

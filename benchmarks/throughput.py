"""One measurement of throughput: all records wait, the contestant is let go, and the clock runs until the last answer
is there for everybody to read.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from benchmarks import cost
from benchmarks.contestants import Contestant, Running
from benchmarks.world import Progress, World
from voucher_ledger.ledger.audit import audit
from voucher_ledger.runtime import kafka

# Looking costs the broker a request: seldom, and more often only where it decides how exact the end is.
LOOK_SECONDS = 0.05
LOOK_SECONDS_AT_THE_END = 0.01
END_BEGINS_AT = 0.9
RECORDS_PER_SECOND_MIN = 400
SECONDS_MIN = 60.0
READ_SECONDS_MAX = 60.0
RECORDS_PER_READ = 10_000


@dataclass(frozen=True, slots=True)
class Round:
    """What was measured. `records` were answered; the clock started with `first_count` of them answered."""

    label: str
    runtime: str
    records: int
    first_count: int
    seconds: float
    seconds_from_release: float
    cost: cost.Cost
    resident_peak_mib: list[float]

    @property
    def per_second(self) -> float:
        """Records a second, from the first answers seen to the last."""
        return (self.records - self.first_count) / self.seconds

    def per_million(self, cpu_seconds: float) -> float:
        """CPU seconds of this round as seconds for a million records."""
        return cpu_seconds * 1e6 / max(1, self.records - self.first_count)


def measure(
    world: World,
    contestant: Contestant,
    label: str,
    preload: Callable[[], int],
    expected: Callable[[int], dict[str, int]],
) -> Round:
    """Let the contestant answer what `preload` puts into its topic (or lets it be sent); check every answer afterwards.

    `expected` says how many events of each type answer that many records.
    Raises ContestantFailed, TimeoutError, and RuntimeError where the answers are not what they must be.
    """
    with contestant.running(world) as running:
        running.freeze()
        records = preload()
        world.connection.execute("CHECKPOINT")
        progress = Progress(world.settings, running.group, running.command_topic)
        before = progress.answered()
        released_at = time.monotonic()
        running.thaw()
        first_count, first = _wait_for(world, running, progress, before, 1, records)
        _, last = _wait_for(world, running, progress, before, records, records)
        progress.close()
        peaks = cost.resident_peak_mib(running)
        _verify(world, running, expected(records))
    return Round(
        label, running.runtime, records, min(first_count, records - 1),
        max(last.monotonic - first.monotonic, LOOK_SECONDS_AT_THE_END), last.monotonic - released_at,
        cost.between(first, last), peaks,
    )  # fmt: skip


def audited(world: World) -> None:
    """Raise RuntimeError where the books do not pass the audit."""
    faults = [f"{check.name}: {check.rows}" for check in audit(world.connection).checks if not check.passed]
    if faults:
        raise RuntimeError(f"the audit failed after the measurement: {faults}")


def _wait_for(
    world: World, running: Running, progress: Progress, before: int, count: int, records: int
) -> tuple[int, cost.Snapshot]:
    """Look until `count` records more than `before` are answered: how many are, and what was spent by then."""
    deadline = time.monotonic() + max(SECONDS_MIN, records / RECORDS_PER_SECOND_MIN)
    while True:
        answered = progress.answered() - before
        if answered >= count:
            return answered, cost.snapshot(running, world.servers)
        running.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{running.group} answered {answered} of {records} records in time")
        time.sleep(LOOK_SECONDS if answered < records * END_BEGINS_AT else LOOK_SECONDS_AT_THE_END)


def _verify(world: World, running: Running, expected: dict[str, int]) -> None:
    found: Counter[str] = Counter()
    ids: set[str] = set()
    for value in committed_values(world, running.event_topic):
        event = orjson.loads(value)
        found[event["type"]] += 1
        ids.add(event["id"])
    wanted = {type_: count for type_, count in expected.items() if count}
    if found != wanted or len(ids) != found.total():
        raise RuntimeError(f"{running.group}: {dict(found)} ({len(ids)} different ids), expected {wanted}")


def committed_values(world: World, topic: str) -> Iterator[bytes]:
    """The committed records of a topic, from its beginning to its end as it is now."""
    properties = kafka.consumer_config(world.settings, "benchmark-reader", enable_partition_eof=True)
    consumer = Consumer({**properties, "group.protocol": "classic"})
    try:
        numbers = consumer.list_topics(topic, timeout=kafka.REQUEST_SECONDS_MAX).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
        ended: set[int] = set()
        deadline = time.monotonic() + READ_SECONDS_MAX
        while len(ended) < len(numbers):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic} could not be read to its end within {READ_SECONDS_MAX} s")
            for record in consumer.consume(RECORDS_PER_READ, 0.1):
                error = record.error()
                if error is None:
                    yield record.value() or b""
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended.add(record.partition() or 0)
                else:
                    raise KafkaException(error)
    finally:
        consumer.close()

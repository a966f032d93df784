"""Reads a bounded part of a topic, read_committed and outside of every consumer group: nobody's offsets move."""

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from voucher_ledger.core.records import Place
from voucher_ledger.produce.clients import known_topics, open_client, settled
from voucher_ledger.produce.pace import Pace
from voucher_ledger.replay.bounds import UNBOUNDED, Bound
from voucher_ledger.replay.errors import Misnamed, Unread
from voucher_ledger.runtime.errors import asking_kafka, is_passing
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, admin_config, consumer_config
from voucher_ledger.runtime.settings import Settings

# The client wants a group's name even where it assigns itself; nothing is ever committed to it.
READER = "voucher-ledger-replay"
RECORDS_A_READ_MAX = 1_000
SILENCE_SECONDS_MAX = 30.0


Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Span:
    """The records of one partition from `start` up to, not including, `end`."""

    topic: str
    partition: int
    start: int
    end: int


def open_reader(settings: Settings) -> Consumer:
    """A consumer that belongs to no group. Raises SettingsError."""
    return open_client(
        Consumer, consumer_config(settings, READER, auto_offset_reset="error", enable_partition_eof=True)
    )


def spans(
    settings: Settings,
    topic: str,
    partitions: Collection[int] | None = None,
    since: Bound = UNBOUNDED,
    until: Bound = UNBOUNDED,
) -> list[Span]:
    """The part of `topic` that lies between two bounds, ended by what is in it now; empty partitions are left out.

    Raises:
        NotSetUp: there is no such topic.
        Misnamed: it has not all of `partitions`.
        Unreachable: Kafka does not answer.
    """
    with closing(open_reader(settings)) as consumer, asking_kafka(settings.kafka):
        numbers = sorted(known_topics(consumer, settings.kafka, [topic])[topic].partitions)
        strange = sorted(set(partitions or ()) - set(numbers))
        if strange:
            raise Misnamed(f"{topic} has partitions {numbers[0]} to {numbers[-1]}, not {strange}")
        chosen = sorted(partitions) if partitions else numbers
        found: list[Span] = []
        for number in chosen:
            place = TopicPartition(topic, number)
            low, high = settled(partial(consumer.get_watermark_offsets, place, REQUEST_SECONDS_MAX))
            start = max(low, _offset_at(consumer, topic, number, since, low, high))
            end = min(high, _offset_at(consumer, topic, number, until, high, high))
            if start < end:
                found.append(Span(topic, number, start, end))
        return found


def topic_ends(settings: Settings, topics: Collection[str]) -> dict[Place, int]:
    """The end of each partition of `topics`, committed or not. Raises Unreachable, NotSetUp where one is not there."""
    with closing(open_reader(settings)) as consumer:
        known = known_topics(consumer, settings.kafka, topics)
    return written_ends(settings, [(topic, number) for topic in topics for number in known[topic].partitions])


def written_ends(settings: Settings, places: Collection[Place]) -> dict[Place, int]:
    """Where all that was ever written to each of `places` ends, committed or not. Raises Unreachable."""
    asked = {TopicPartition(*place): OffsetSpec.latest() for place in places}
    admin = open_client(AdminClient, admin_config(settings))
    with asking_kafka(settings.kafka):
        found = admin.list_offsets(
            asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=REQUEST_SECONDS_MAX
        )
        return {(place.topic, place.partition): int(future.result().offset) for place, future in found.items()}


def records(settings: Settings, parts: Collection[Span]) -> Iterator[Message]:
    """The committed records of `parts`, in the order of their offsets within each partition.

    Raises:
        Unread: a part could not be read to its end.
    """
    if not parts:
        return
    ends = {(part.topic, part.partition): part.end for part in parts}
    consumer = open_reader(settings)
    try:
        consumer.assign([TopicPartition(part.topic, part.partition, part.start) for part in parts])
        heard_seconds = time.monotonic()
        while ends:
            fetched = consumer.consume(RECORDS_A_READ_MAX, 0.2)
            if not fetched and time.monotonic() - heard_seconds > SILENCE_SECONDS_MAX:
                raise Unread(f"{_shown(ends)}: nothing came for {SILENCE_SECONDS_MAX:.0f} s")
            for record in fetched:
                heard_seconds = time.monotonic()  # also by a consumer of these records that takes its time
                place = (str(record.topic()), int(record.partition() or 0))
                error = record.error()
                if error is None:
                    if int(record.offset() or 0) < ends.get(place, 0):
                        yield record
                    else:
                        ends.pop(place, None)
                elif error.code() == KafkaError._PARTITION_EOF:
                    ends.pop(place, None)
                elif not is_passing(error):
                    raise Unread(f"{place[0]}/{place[1]}: {error.str()}")
            heard_seconds = time.monotonic() if fetched else heard_seconds
    finally:
        consumer.close()


def paced(found: Iterable[Item], rate: float | None) -> Iterator[Item]:
    """`found`, at most `rate` a second: a reader reads no further ahead of who takes its records than it has room."""
    pace = Pace(rate, time.monotonic)
    for one in found:
        yield one
        wait_seconds = pace.wait_seconds(1)
        if wait_seconds:
            time.sleep(wait_seconds)


def _offset_at(consumer: Consumer, topic: str, number: int, asked: Bound, missing: int, high: int) -> int:
    if asked.offset is not None:
        return asked.offset
    if asked.time_ms is None:
        return missing
    place = TopicPartition(topic, number, asked.time_ms)
    (found,) = consumer.offsets_for_times([place], timeout=REQUEST_SECONDS_MAX)
    if found.error is not None:
        raise KafkaException(found.error)
    return high if found.offset < 0 else int(found.offset)


def _shown(places: Collection[Place]) -> str:
    return ", ".join(f"{topic}/{partition}" for topic, partition in sorted(places))

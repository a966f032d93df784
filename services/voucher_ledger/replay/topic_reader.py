"""Reads topics from given offsets to their ends, without a group's offsets: no live consumer group is touched."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from threading import Event
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from voucher_ledger.core.records import Place
from voucher_ledger.produce.clients import known_topics, open_client, settled
from voucher_ledger.produce.pace import Pace
from voucher_ledger.replay.errors import Unread
from voucher_ledger.replay.reading import written_ends
from voucher_ledger.runtime import unreadable
from voucher_ledger.runtime.errors import Unreachable, asking_kafka, is_passing
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, consumer_config
from voucher_ledger.runtime.settings import Settings

RECORDS_A_READ_MAX = 10_000
SILENCE_SECONDS_MAX = 30.0


class Progress:
    """Is told how far a read has come, and what is done after it; does nothing."""

    def expect(self, count: int) -> None:
        """So many records more will be read, at most."""

    def advance(self, count: int) -> None:
        """So many more are read."""

    def turn_to(self, doing: str) -> None:
        """All is read; `doing` has no count."""


NO_PROGRESS = Progress()


class Range(NamedTuple):
    """The offsets that a partition holds: the first, and the one after its last."""

    low: int
    high: int


Passed = Callable[[Place, int, int], None]


def _unheard(_place: Place, _first: int, _end: int) -> None:
    pass


class TopicReader:
    """Reads with read_committed, as any reader of the events does; `stop` ends a read early, by Unread. `rate` is how
    many records a second it may read, None for as many as come.
    """

    def __init__(
        self, settings: Settings, stop: Event, progress: Progress = NO_PROGRESS, rate: float | None = None
    ) -> None:
        self._settings = settings
        self._kafka = settings.kafka
        self._stop = stop
        self._progress = progress
        self._pace = Pace(rate, time.monotonic)
        self.reached: dict[Place, int] = {}
        self._consumer = open_client(
            Consumer,
            consumer_config(
                settings,
                "voucher-ledger-replay",
                auto_offset_reset="earliest",
                enable_partition_eof=True,
                queued_min_messages=self._pace.chunk(20_000),  # or it reads ahead faster than it may
                # What all partitions hold unread is memory: the room of a processor for each would be hundreds of MiB.
                fetch_message_max_bytes=262_144,
                fetch_max_bytes=8_388_608,
            ),
        )

    def close(self) -> None:
        """Leave Kafka."""
        self._consumer.close()

    def ranges(self, topics: Collection[str]) -> dict[Place, Range]:
        """What each partition of `topics` holds now.

        Raises Unreachable where Kafka does not answer, NotSetUp where it has no such topic.
        """
        known = known_topics(self._consumer, self._kafka, topics)
        with asking_kafka(self._kafka):
            return {
                (topic, number): Range(*settled(partial(self._watermarks, topic, number)))
                for topic in sorted(topics)
                for number in sorted(known[topic].partitions)
            }

    def written(self, places: Collection[Place]) -> dict[Place, int]:
        """See `reading.written_ends`."""
        return written_ends(self._settings, places)

    def offsets_at(self, places: Collection[Place], time_ms: int) -> dict[Place, int]:
        """Where in each of `places` the records of `time_ms` (milliseconds since 1970) and later begin."""
        wanted = [TopicPartition(*place, time_ms) for place in places]
        with asking_kafka(self._kafka):
            found = self._consumer.offsets_for_times(wanted, timeout=REQUEST_SECONDS_MAX)
            return {
                (entry.topic, entry.partition): entry.offset
                if entry.offset >= 0
                else self._watermarks(entry.topic, entry.partition)[1]
                for entry in found
            }

    def read(self, starts: Mapping[Place, int], passed: Passed = _unheard) -> Iterator[Message]:
        """The committed records of these partitions from their offsets to the ends, which each reports of itself and
        `reached` keeps: the first transaction that is still open is one. `passed` is told, in the midst of them, of the
        offsets that could not be read: of a batch that can't be decompressed.

        Raises Unread where a partition can't be read to its end, or `stop` was set.
        """
        left = set(starts)
        if not left:
            return
        self._consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        beyond: dict[Place, int] = {}  # where the last batch that was passed ends
        self._progress.expect(0 if self._progress is NO_PROGRESS else self._expected(starts))
        heard_seconds = time.monotonic()
        while left:
            records = self._consumer.consume(self._pace.chunk(RECORDS_A_READ_MAX), 0.2)
            if records:
                self._progress.advance(len(records))
                if wait_seconds := self._pace.wait_seconds(len(records)):
                    self._stop.wait(wait_seconds)
                heard_seconds = time.monotonic()
            if self._stop.is_set() or time.monotonic() - heard_seconds > SILENCE_SECONDS_MAX:
                why = "stopped" if self._stop.is_set() else f"nothing came for {SILENCE_SECONDS_MAX:.0f} s"
                raise Unread(f"{len(left)} partitions were not read to their ends: {why}")
            for record in records:
                error = record.error()
                if error is None:
                    yield record
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(place_of(record))
                    self.reached[place_of(record)] = offset_of(record)
                elif unreadable.is_unreadable(error):
                    place, base = place_of(record), offset_of(record)
                    start = max(base, beyond.get(place, starts[place]))
                    beyond[place] = self._pass(place, base, start)
                    passed(place, start, beyond[place])
                elif not is_passing(error):
                    raise Unread(f"{record.topic()}/{record.partition()}: {error.str()}")
        self._consumer.unassign()

    def record_from(self, place: Place, offset: int) -> Message | None:
        """The first committed record at `offset` or after it; None where the partition ends before there is one."""
        self._consumer.assign([TopicPartition(*place, offset)])
        deadline = time.monotonic() + SILENCE_SECONDS_MAX
        try:
            while time.monotonic() < deadline:
                record = self._consumer.poll(0.2)
                error = None if record is None else record.error()
                if record is not None and error is not None and unreadable.is_unreadable(error):
                    self._pass(place, offset_of(record), max(offset, offset_of(record)))
                    continue
                if record is None or (error is not None and is_passing(error)):
                    continue
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise Unread(f"{place[0]}/{place[1]}: {error.str()}")
                return record if error is None else None
        finally:
            self._consumer.unassign()
        raise Unread(f"{place[0]}/{place[1]}: nothing came for {SILENCE_SECONDS_MAX:.0f} s")

    def _pass(self, place: Place, base: int, start: int) -> int:
        """Go on behind the batch of `base`, as the processors did, from `start` in it on; its end."""
        with asking_kafka(self._kafka):
            end = unreadable.end_of_batch(self._settings, *place, base, start)
            self._consumer.seek(TopicPartition(*place, end))
        return end

    def _expected(self, starts: Mapping[Place, int]) -> int:
        """How many offsets lie between `starts` and the ends: some of them are no records."""
        with asking_kafka(self._kafka):
            ends = {place: settled(partial(self._watermarks, *place))[1] for place in starts}
        return sum(max(0, ends[place] - offset) for place, offset in starts.items())

    def _watermarks(self, topic: str, number: int) -> tuple[int, int]:
        found = self._consumer.get_watermark_offsets(TopicPartition(topic, number), REQUEST_SECONDS_MAX)
        if found is None:
            raise Unreachable(f"Kafka at {self._kafka} does not tell what {topic}/{number} holds")
        return found


def place_of(record: Message) -> Place:
    """The topic and partition of a record that was consumed."""
    return str(record.topic()), int(record.partition() or 0)


def offset_of(record: Message) -> int:
    """The offset of a record that was consumed."""
    return int(record.offset() or 0)


def time_ms_of(record: Message) -> int:
    """The timestamp of a record that was consumed, in milliseconds since 1970."""
    return int(record.timestamp()[1])

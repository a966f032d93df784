"""Reads the partitions of several topics together, in the order of their records' times, in bounded memory."""

import heapq
import time
from collections import deque
from collections.abc import Iterator, Sequence

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from voucher_ledger.core.records import Place
from voucher_ledger.replay.errors import Unread
from voucher_ledger.replay.reading import RECORDS_A_READ_MAX, SILENCE_SECONDS_MAX, Span, open_reader
from voucher_ledger.runtime.errors import is_passing
from voucher_ledger.runtime.settings import Settings

# A partition that is ahead of the others waits with so many records in memory.
BUFFERED_MAX = 2_000


class Merge:
    """Yields the committed records of `parts` by time; those of one partition always in the order of their offsets,
    also where their times are not. Of records of the same time those of the first topic and partition come first, by
    name and number: whoever reads the same parts again gets the same order.
    """

    def __init__(self, settings: Settings, parts: Sequence[Span]) -> None:
        self._settings = settings
        self._parts = parts
        self._ends: dict[Place, int] = {(part.topic, part.partition): part.end for part in parts}
        self._buffers: dict[Place, deque[Message]] = {place: deque() for place in self._ends}
        self._paused: set[Place] = set()

    def __iter__(self) -> Iterator[tuple[int, Message]]:
        """Each record with its time in ms since 1970, which never goes back. Raises Unread."""
        if not self._parts:
            return
        consumer = open_reader(self._settings)
        try:
            consumer.assign([TopicPartition(part.topic, part.partition, part.start) for part in self._parts])
            yield from self._merged(consumer)
        finally:
            consumer.close()

    def _merged(self, consumer: Consumer) -> Iterator[tuple[int, Message]]:
        heads: list[tuple[int, Place]] = []
        waiting = set(self._ends)  # partitions without a head
        now_ms = 0
        while waiting or heads:
            while any(not self._buffers[place] and place in self._ends for place in waiting):
                self._fetch(consumer)
            for place in waiting:
                if self._buffers[place]:
                    time_ms = int(self._buffers[place][0].timestamp()[1])
                    heapq.heappush(heads, (time_ms, place))
            waiting = set()
            if not heads:
                return
            time_ms, place = heapq.heappop(heads)
            now_ms = max(now_ms, time_ms)
            yield now_ms, self._buffers[place].popleft()
            waiting.add(place)

    def _fetch(self, consumer: Consumer) -> None:
        """Read until something comes; partitions that are far ahead are paused meanwhile."""
        deadline = time.monotonic() + SILENCE_SECONDS_MAX
        self._hold_back(consumer)
        while True:
            fetched = consumer.consume(RECORDS_A_READ_MAX, 0.02)
            for record in fetched:
                self._take(record)
            if fetched:
                return
            if time.monotonic() > deadline:
                raise Unread(f"{sorted(self._ends)}: nothing came for {SILENCE_SECONDS_MAX:.0f} s")

    def _take(self, record: Message) -> None:
        place = (str(record.topic()), int(record.partition() or 0))
        error = record.error()
        if error is None:
            if int(record.offset() or 0) < self._ends.get(place, 0):
                self._buffers[place].append(record)
            else:
                self._ends.pop(place, None)
        elif error.code() == KafkaError._PARTITION_EOF:
            self._ends.pop(place, None)
        elif not is_passing(error):
            raise Unread(f"{place[0]}/{place[1]}: {error.str()}")

    def _hold_back(self, consumer: Consumer) -> None:
        ahead = {place for place in self._ends if len(self._buffers[place]) >= BUFFERED_MAX}
        resumed = {place for place in self._paused if len(self._buffers[place]) <= BUFFERED_MAX // 2}
        if ahead - self._paused:
            consumer.pause([TopicPartition(*place) for place in ahead - self._paused])
        if resumed:
            consumer.resume([TopicPartition(*place) for place in resumed])
        self._paused = (self._paused | ahead) - resumed

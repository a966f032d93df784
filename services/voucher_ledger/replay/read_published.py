"""Reads topics on until all that the ledger has decided is on them, or no more can come: beside live traffic."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from threading import Event
from typing import Protocol, TypeVar

from confluent_kafka import Message

from voucher_ledger.core.records import Place
from voucher_ledger.replay.topic_reader import offset_of, place_of

LOOK_AGAIN_SECONDS = 0.2

Key = TypeVar("Key")


class Reader(Protocol):
    """What reads the committed records of partitions; `reached` is where it met the end of each."""

    reached: dict[Place, int]

    def read(self, starts: Mapping[Place, int]) -> Iterable[Message]:
        """The records from these offsets to the ends that the partitions have now."""

    def written(self, places: Collection[Place]) -> dict[Place, int]:
        """Where all that was ever written to each partition ends, committed or not."""


def read_published(
    reader: Reader, starts: dict[Place, int], take: Callable[[Message, Place, int], None],
    short: Callable[[], Collection[Key]], waits: Callable[[Key], bool], stop: Event, seconds_max: float,
) -> None:  # fmt: skip
    """Give `take` every record from `starts` on, until nothing is `short` of answers, or what is short gets no more;
    `seconds_max` at most, once the ends were reached. `waits` tells whether the outbox holds some of what is short.

    What has left the outbox is on the topic. But there it may lie behind the transaction of a processor that was
    killed, of whichever room: until Kafka aborts that, who reads committed records meets the partition's end before it.
    """
    deadline: float | None = None
    written: dict[Place, int] = {}
    while True:
        lacking = short()
        # Asked before the read, the outbox first: what has left it by now lies before the ends that are told after it.
        waiting = {key for key in lacking if waits(key)}
        if lacking and not written:
            written = reader.written(starts)
        for record in reader.read(starts):
            place, offset = place_of(record), offset_of(record)
            starts[place] = offset + 1
            take(record, place, offset)
        # From the first end on: to read all there is may take an hour.
        deadline = time.monotonic() + seconds_max if deadline is None else deadline
        lacking = short()
        hidden = any(reader.reached.get(place, 0) < end for place, end in written.items())
        may_come = hidden or any(key in waiting for key in lacking)
        if not lacking or not may_come or time.monotonic() > deadline:
            return
        if waiting:
            written = {}  # what leaves the outbox from here on lies further
        stop.wait(LOOK_AGAIN_SECONDS)

"""Which offsets of a partition of commands hold one: transactions leave markers among them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from confluent_kafka import Message

from voucher_ledger.core.records import Place
from voucher_ledger.replay.answers import Marks
from voucher_ledger.replay.topic_reader import offset_of


class Reader(Protocol):
    """What reads the committed records of partitions, from an offset each."""

    def read(self, starts: Mapping[Place, int], passed: Callable[[Place, int, int], None]) -> Iterable[Message]:
        """The records, to the ends that the partitions have now; `passed` is told which offsets can't be read."""


def commands_there(reader: Reader, place: Place, low: int, end: int) -> Marks:
    """The commands from `low` up to `end`. What can't be decompressed is one at each offset, as the processors take it:
    whether it was in a transaction that was aborted, nobody who reads can tell.
    """
    commands = Marks()

    def passed(_place: Place, first: int, following: int) -> None:
        for offset in range(first, min(following, end)):
            commands.add(offset)

    for record in reader.read({place: low} if low < end else {}, passed):
        if offset_of(record) < end:
            commands.add(offset_of(record))
    return commands

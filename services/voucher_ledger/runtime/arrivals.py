"""Which of the consumed records a session has to decide: those of held partitions, at or past their positions."""

from collections.abc import Mapping, Sequence

import structlog

from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.runtime import unreadable
from voucher_ledger.runtime.decider import Item
from voucher_ledger.runtime.errors import lost
from voucher_ledger.runtime.incoming import Record, incoming
from voucher_ledger.runtime.positions import Position
from voucher_ledger.runtime.settings import Settings

log = structlog.get_logger()


class Arrivals:
    """Sorts the records of one command topic out, for one session."""

    def __init__(self, settings: Settings, topic: str, decoder: CommandDecoder) -> None:
        self._settings = settings
        self._topic = topic
        self._decoder = decoder
        self._ends: dict[tuple[int, int], int] = {}

    def items(self, records: Sequence[Record], positions: Mapping[int, Position]) -> tuple[list[Item], dict[int, int]]:
        """What is to be decided, in order; and where, by partition, a consumer that stands still goes on after that.

        Raises what `lost` makes of an error among the records, except of a batch that can't be decompressed.
        """
        decoder = self._decoder
        items: list[Item] = []
        expected: dict[int, int] = {}
        stuck: dict[int, int] = {}
        told: set[int] = set()
        for record in records:
            error = record.error()
            if error is not None and not unreadable.is_unreadable(error):
                raise lost(error)
            partition, offset = record.partition(), record.offset()
            next_offset = expected.get(partition)
            if next_offset is None:
                if partition not in positions:
                    continue  # of a partition given up meanwhile
                next_offset = positions[partition].next_offset
            if error is not None:
                if partition not in told:  # the client has told of it once more meanwhile
                    told.add(partition)
                    letters, end = self._unreadable(partition, offset, next_offset)
                    items += letters
                    expected[partition] = letters[-1].offset + 1 if letters else next_offset
                    if expected[partition] >= end:
                        stuck[partition] = expected[partition]
            elif offset >= next_offset:  # else decided already
                expected[partition] = offset + 1
                items.append(incoming(record, partition, offset, decoder))
        return items, stuck

    def _unreadable(self, partition: int, base: int, next_offset: int) -> tuple[Sequence[Item], int]:
        """The dead letters of a batch that can't be decompressed, a decided batch at most, and where it ends.

        The consumer tells of it again and again, and by that asks for the rest of the letters.
        """
        place = (partition, base)
        if place not in self._ends:
            self._ends[place] = unreadable.end_of_batch(self._settings, self._topic, partition, base)
            log.warning(
                "a batch can't be decompressed: its records are dead letters without key and value",
                topic=self._topic, partition=partition, first_offset=base, next_offset=self._ends[place],
            )  # fmt: skip
        end = self._ends[place]
        first = max(base, next_offset)
        return unreadable.letters(partition, base, first, min(end, first + self._settings.batch_records_max)), end

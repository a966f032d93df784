"""Which of the consumed records a session has to decide: those of held partitions, at or past their positions."""

from collections import Counter
from collections.abc import Mapping, Sequence

import structlog

from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.runtime import unreadable
from voucher_ledger.runtime.decider import Item
from voucher_ledger.runtime.errors import SessionLost, lost
from voucher_ledger.runtime.incoming import Record, incoming
from voucher_ledger.runtime.positions import Position
from voucher_ledger.runtime.settings import Settings

# An error that was there and is not, as by a bit that was flipped on the way: of one batch, in one session.
PASSING_ERRORS_MAX = 3

log = structlog.get_logger()


class Arrivals:
    """Sorts the records of one command topic out, for one session."""

    def __init__(self, settings: Settings, topic: str, decoder: CommandDecoder) -> None:
        self._settings = settings
        self._topic = topic
        self._decoder = decoder
        self._ends: dict[tuple[int, int], int] = {}
        self._passing: Counter[tuple[int, int]] = Counter()

    def items(self, records: Sequence[Record], positions: Mapping[int, Position]) -> tuple[list[Item], dict[int, int]]:
        """What is to be decided, in order; and where, by partition, a consumer that stands still goes on after that.

        Raises what `lost` makes of an error among the records, except of a batch that can't be decompressed.
        """
        decoder = self._decoder
        items: list[Item] = []
        expected: dict[int, int] = {}
        stuck: dict[int, int] = {}
        has_looked = False
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
            if error is None:
                if offset >= next_offset:  # else decided already
                    expected[partition] = offset + 1
                    items.append(incoming(record, partition, offset, decoder))
            elif not has_looked:  # one a turn, since a look takes its time: of the others the client tells again
                has_looked = True
                first = max(offset, next_offset)
                end = self._end(partition, offset, first)
                # A decided batch at most: the client tells of the same again and again, and by that asks for the rest.
                letters = unreadable.letters(
                    partition, offset, first, min(end, first + self._settings.batch_records_max)
                )
                items += letters
                expected[partition] = letters[-1].offset + 1 if letters else next_offset
                if expected[partition] >= end:
                    stuck[partition] = expected[partition]
        return items, stuck

    def _end(self, partition: int, base: int, start: int) -> int:
        """Where the batch that begins at `base` ends; `start` where that can be read, or lies behind it."""
        place = (partition, base)
        if place not in self._ends:
            end = unreadable.end_of_batch(self._settings, self._topic, partition, base, start)
            if end == start:
                self._passing[place] += 1
                if self._passing[place] > PASSING_ERRORS_MAX:
                    raise SessionLost(f"{self._topic}/{partition}: the batch at offset {base} can be read and can't")
                return start
            self._ends[place] = end
            log.warning(
                "a batch can't be decompressed: its records are dead letters without key and value",
                topic=self._topic, partition=partition, first_offset=base, next_offset=end,
            )  # fmt: skip
        return max(start, self._ends[place])

"""The seals as Postgres holds them: all of them in one snapshot, and those of one partition as its records come."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import psycopg

from voucher_ledger.core.records import Place
from voucher_ledger.core.sealing import Digest
from voucher_ledger.replay.seals.batch import Batch
from voucher_ledger.replay.seals.chain import Head, Seal
from voucher_ledger.replay.seals.match import EVENTS, LETTERS

# A page of seals is memory for each partition: 16 of batches of 5,000 are 320 kB.
BATCHES_A_PAGE = 16
SEALS_A_FETCH = 200

_ALL = """
SELECT topic, partition, number, kind::text, first_offset, next_offset, sealed_at_ms, seal, events, events_sha256,
    event_checks, event_offsets, dead_letters, letters_sha256, letter_checks, letter_offsets
FROM books.seal WHERE %(partitions)s::int[] IS NULL OR partition = ANY(%(partitions)s)
ORDER BY topic, partition, number"""
_HEADS = """
SELECT DISTINCT ON (topic, partition) topic, partition, number, next_offset, seal FROM books.seal
ORDER BY topic, partition, number DESC"""

_SELECTED = {
    EVENTS: "SELECT number, first_offset, next_offset, events, events_sha256, event_checks, event_offsets",
    LETTERS: "SELECT number, first_offset, next_offset, dead_letters, letters_sha256, letter_checks, letter_offsets",
}
_COUNT = {EVENTS: "events", LETTERS: "dead_letters"}
_FOLLOWING = """ FROM books.seal
WHERE topic = %s AND partition = %s AND number > %s AND number <= %s AND {count} > 0 ORDER BY number LIMIT %s"""
_HOLDING = """ FROM books.seal
WHERE topic = %s AND partition = %s AND first_offset <= %s AND number <= %s AND {count} > 0
ORDER BY first_offset DESC, number DESC LIMIT 1"""
_RANGES = """
SELECT number, first_offset, next_offset, {count} FROM books.seal
WHERE topic = %s AND partition = %s AND number <= %s AND {count} > 0 ORDER BY number"""


def all_seals(connection: psycopg.Connection, partitions: list[int] | None) -> Iterator[Seal]:
    """Every seal (of these partitions), those of a partition by their numbers. To be called in a transaction."""
    with connection.cursor(name="seals") as cursor:
        cursor.itersize = SEALS_A_FETCH
        cursor.execute(_ALL, {"partitions": partitions})
        for topic, partition, number, kind, first, following, at_ms, seal, *told in cursor:
            events, letters = Digest(*told[:4]), Digest(told[4], *(part or b"" for part in told[5:]))
            yield Seal(topic, partition, number, kind, first, following, at_ms, seal, events, letters)


def heads(connection: psycopg.Connection) -> list[Head]:
    """The last seal of each partition."""
    return [Head(*row) for row in connection.execute(_HEADS)]


class SealedBatches:
    """The batches of one partition that have records of `kind`, up to seal `number_max`; read a page at a time."""

    def __init__(self, connection: psycopg.Connection, place: Place, kind: str, number_max: int) -> None:
        self._connection = connection
        self._place = place
        self._number_max = number_max
        count = _COUNT[kind]
        self._following = (_SELECTED[kind] + _FOLLOWING.format(count=count)).encode()
        self._holding = (_SELECTED[kind] + _HOLDING.format(count=count)).encode()
        self._ranges = _RANGES.format(count=count).encode()
        self._page: deque[Batch] = deque()
        self._read_up_to = 0

    def holding(self, offset: int) -> Batch | None:
        """The latest batch over the command at `offset`: as a rule the one after that which was asked for before."""
        if not self._page and self._read_up_to < self._number_max:
            self._read_page()
        while len(self._page) > 1 and self._page[1].first_offset <= offset:
            self._page.popleft()
        if self._page and self._page[0].first_offset <= offset < self._page[0].next_offset:
            return self._page.popleft()
        row = self._connection.execute(self._holding, (*self._place, offset, self._number_max)).fetchone()
        found = None if row is None else _batch(row)
        if found is None or offset >= found.next_offset:
            return None
        while self._page and self._page[0].number <= found.number:
            self._page.popleft()
        return found

    def ranges(self) -> Iterator[tuple[int, int, int, int]]:
        """All batches: (number, first_offset, next_offset, count of records)."""
        with self._connection.transaction(), self._connection.cursor(name="ranges") as cursor:
            yield from cursor.execute(self._ranges, (*self._place, self._number_max))

    def _read_page(self) -> None:
        wanted = (*self._place, self._read_up_to, self._number_max, BATCHES_A_PAGE)
        self._page.extend(_batch(row) for row in self._connection.execute(self._following, wanted))
        self._read_up_to = self._page[-1].number if self._page else self._number_max


def _batch(row: tuple[Any, ...]) -> Batch:
    return Batch(row[0], row[1], row[2], Digest(*row[3:]))

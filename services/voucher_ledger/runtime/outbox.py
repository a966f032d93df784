"""What a batch has to publish, and its compressed form in the outbox: one row a batch and partition, and its seal."""

import base64
from collections.abc import Collection
from dataclasses import dataclass, field

import orjson
import psycopg
import zstandard

from voucher_ledger.core.demand import Rollup, Tally
from voucher_ledger.core.sealing import BETWEEN
from voucher_ledger.runtime import seals

COMPRESSION_LEVEL = 1

_INSERT = """
INSERT INTO books.outbox (topic, partition, first_offset, next_offset, events, dead_letters)
SELECT %s, * FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %b::bytea[], %b::bytea[])"""

_BETWEEN = """
SELECT first_offset, next_offset, events, dead_letters FROM books.outbox
WHERE topic = %s AND partition = %s AND next_offset > %s ORDER BY first_offset"""

_PRUNE = """
DELETE FROM books.outbox o USING unnest(%s::int[], %s::bigint[]) AS p (partition, published)
WHERE o.topic = %s AND o.partition = p.partition AND o.next_offset <= p.published"""

Header = tuple[str, bytes | None]

# The headers that a dead letter gets; a record that was redriven still has those of the time before.
DEAD_LETTER_HEADERS = ("dlq_topic", "dlq_partition", "dlq_offset", "dlq_error", "dlq_attempts")


@dataclass(slots=True)
class DeadLetter:
    """A record that can't be decided: its bytes untouched, and why."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[Header]
    error: str

    def headers_for(self, topic: str) -> list[Header]:
        """The record's own headers and the `dlq_*` ones; `dlq_attempts` counts how often it came here."""
        attempts = 1
        own: list[Header] = []
        for name, value in self.headers:
            if name == "dlq_attempts":
                attempts = _count(value) + 1
            elif name not in DEAD_LETTER_HEADERS:
                own.append((name, value))
        return [
            *own,
            ("dlq_topic", topic.encode()),
            ("dlq_partition", str(self.partition).encode()),
            ("dlq_offset", str(self.offset).encode()),
            ("dlq_error", self.error.encode()),
            ("dlq_attempts", str(attempts).encode()),
        ]


@dataclass(slots=True)
class Share:
    """One partition's part of a decided batch: `events` and their `keys` in the order of their causes.

    `rollups` and the records' times (`times_ms`) are made from the outcomes: the outbox does not keep them.
    """

    partition: int
    first_offset: int
    next_offset: int
    events: list[bytes] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    rollups: list[Rollup] = field(default_factory=list, compare=False)
    times_ms: list[int] = field(default_factory=list, compare=False)

    def sum_up(self, tally: Tally) -> None:
        """Take the rollups and times of its outcomes from the tally that counted them."""
        self.rollups, self.times_ms = tally.rollups(self.next_offset), tally.times_ms


class Outbox:
    """The outbox rows of one command topic. Events are JSON without line breaks, so lines frame them; their keys are
    read from the data when they are needed, which is after a crash only.
    """

    def __init__(self, topic: str, key_field: str) -> None:
        self._topic = topic
        self._key_field = key_field
        self._compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
        self._decompressor = zstandard.ZstdDecompressor()

    def insert(self, connection: psycopg.Connection, shares: Collection[Share]) -> None:
        """Append one row a share, and its seal: both are of the same bytes."""
        rows: list[tuple[int | bytes | None, ...]] = []
        sealed: list[seals.Row] = []
        # Share by share, so that its events are still in the processor's cache when they are sealed.
        for share in shares:
            joined = BETWEEN.join(share.events)
            sealed.append(seals.row(self._topic, share, joined))
            letters = self._pack(share.dead_letters) if share.dead_letters else None
            packed = self._compressor.compress(joined)
            rows.append((share.partition, share.first_offset, share.next_offset, packed, letters))
        seals.append(connection, self._topic, sealed)
        connection.execute(_INSERT, (self._topic, *(list(column) for column in zip(*rows, strict=True))))

    def after(self, connection: psycopg.Connection, partition: int, published: int) -> list[Share]:
        """The shares of a partition that reach past the offset `published`, in order."""
        rows = connection.execute(_BETWEEN, (self._topic, partition, published)).fetchall()
        return [self._share(partition, *row) for row in rows]

    def prune(self, connection: psycopg.Connection, published: dict[int, int]) -> None:
        """Delete the rows below the offsets known to be published, by partition."""
        if published:
            connection.execute(_PRUNE, (list(published), list(published.values()), self._topic))

    def _share(self, partition: int, first: int, following: int, packed: bytes, letters: bytes | None) -> Share:
        lines = self._decompressor.decompress(packed)
        events = lines.split(BETWEEN) if lines else []
        keys = [orjson.loads(event)["data"][self._key_field].encode() for event in events]
        return Share(partition, first, following, events, keys, self._unpack(letters) if letters else [])

    def _pack(self, letters: list[DeadLetter]) -> bytes:
        rows = [
            [
                letter.partition,
                letter.offset,
                _text(letter.key),
                _text(letter.value),
                [[name, _text(value)] for name, value in letter.headers],
                letter.error,
            ]
            for letter in letters
        ]
        return self._compressor.compress(orjson.dumps(rows))

    def _unpack(self, packed: bytes) -> list[DeadLetter]:
        return [
            DeadLetter(
                partition, offset, _bytes(key), _bytes(value), [(name, _bytes(held)) for name, held in headers], error
            )
            for partition, offset, key, value, headers, error in orjson.loads(self._decompressor.decompress(packed))
        ]


def _count(value: bytes | None) -> int:
    digits = (value or b"").decode("ascii", "replace")
    return int(digits) if digits.isdecimal() and len(digits) < 10 else 0


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode("ascii")


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value)

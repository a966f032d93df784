"""The seal of each batch: one row a partition, in the batch's own transaction. Postgres links it to the one before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import psycopg

from voucher_ledger.core.sealing import (
    NO_EVENTS,
    NO_LETTERS,
    Digest,
    digest_of_events,
    digest_of_letters,
    letter_digest,
)

if TYPE_CHECKING:
    from voucher_ledger.runtime.outbox import Share

# The rows of one partition are linked in the order in which they are given.
_APPEND = """
INSERT INTO books.seal (topic, partition, kind, first_offset, next_offset, events, dead_letters, events_sha256,
    event_checks, event_offsets, letters_sha256, letter_checks, letter_offsets)
SELECT %s, b.partition, %s::books.seal_kind, b.first_offset, b.next_offset, b.events, b.dead_letters, b.events_sha256,
    b.event_checks, b.event_offsets, b.letters_sha256, b.letter_checks, b.letter_offsets
FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::int[], %b::bytea[], %b::bytea[], %b::bytea[], %s::int[],
    %b::bytea[], %b::bytea[], %b::bytea[])
  AS b (partition, first_offset, next_offset, events, events_sha256, event_checks, event_offsets, dead_letters,
    letters_sha256, letter_checks, letter_offsets)"""

Kind = Literal["batch", "rebuilt", "moved"]
Row = tuple[int | bytes | None, ...]
"""What _APPEND takes of one seal."""


def append(connection: psycopg.Connection, topic: str, rows: Sequence[Row], kind: Kind = "batch") -> None:
    """Append seals of a command topic, as `row_of` made them, in this order.

    The caller's transaction has moved the partitions' positions, whose locks keep the chain in order.
    """
    connection.execute(_APPEND, (topic, kind, *(list(column) for column in zip(*rows, strict=True))))


def append_move(connection: psycopg.Connection, topic: str, partition: int, position: int, to: int) -> None:
    """Seal that the position of a partition was moved from `position` back to `to`, with nothing decided by it."""
    append(connection, topic, [row_of(partition, position, to, NO_EVENTS, NO_LETTERS)], "moved")


def row(topic: str, share: "Share", joined: bytes) -> Row:
    """What the seal of a share of a command topic says; `joined` are its events with BETWEEN between them."""
    events = digest_of_events(share.events, joined, share.first_offset, share.next_offset)
    letters = _letters(topic, share) if share.dead_letters else NO_LETTERS
    return row_of(share.partition, share.first_offset, share.next_offset, events, letters)


def row_of(partition: int, first_offset: int, next_offset: int, events: Digest, letters: Digest) -> Row:
    """What a seal says of the commands from `first_offset` up to `next_offset`, and of the answers to them."""
    told = (letters.sha256, letters.checks, letters.offsets) if letters.count else (None, None, None)
    return (
        partition, first_offset, next_offset, events.count, events.sha256, events.checks, events.offsets,
        letters.count, *told,
    )  # fmt: skip


def _letters(topic: str, share: "Share") -> Digest:
    """As they will be published, with the headers that say where they come from."""
    digests = [letter_digest(letter.key, letter.value, letter.headers_for(topic)) for letter in share.dead_letters]
    return digest_of_letters(digests, [letter.offset for letter in share.dead_letters])

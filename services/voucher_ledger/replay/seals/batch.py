"""A sealed batch, and how far its records have come. No IO."""

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from voucher_ledger.core.sealing import NO_LETTERS, Digest, unpacked_checks, unpacked_offsets


@dataclass(frozen=True, slots=True)
class Batch:
    """What seal `number` says of a batch's records of one kind (`digest`), which answer commands from `first_offset` up
    to `next_offset`.
    """

    number: int
    first_offset: int
    next_offset: int
    digest: Digest


class OpenBatch:
    """A batch of which records have come; `whole` while they came as they were sealed, and in order. A seal that does
    not fit itself tells of no records: the chain has blamed it.
    """

    __slots__ = ("_offsets", "batch", "came", "checks", "content", "expected", "fine", "left", "whole")

    def __init__(self, batch: Batch) -> None:
        digest = batch.digest if batch.digest.fits(batch.first_offset, batch.next_offset) else NO_LETTERS
        self.batch = batch
        self.checks: array[int] = unpacked_checks(digest.checks)
        self._offsets = None if digest.offsets is None else unpacked_offsets(digest.offsets)
        self.came = bytearray(digest.count)
        self.left = digest.count
        self.whole = True
        self.expected = 0
        self.fine = 0
        self.content: Any = sha256()

    def holds(self, offset: int) -> bool:
        """Whether the command at `offset` is within its range."""
        return self.batch.first_offset <= offset < self.batch.next_offset

    def place_of(self, offset: int) -> int | None:
        """Which of its records answers the command at `offset`; None where none does."""
        if self._offsets is None:
            return offset - self.batch.first_offset
        place = bisect_left(self._offsets, offset)
        return place if place < len(self._offsets) and self._offsets[place] == offset else None

    def missing(self) -> list[int]:
        """The offsets whose records did not come."""
        followed = range(self.batch.first_offset, self.batch.next_offset)
        offsets = followed if self._offsets is None else self._offsets
        return [offset for offset, came in zip(offsets, self.came, strict=True) if not came]

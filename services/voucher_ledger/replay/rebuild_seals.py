"""The seals of a rebuilt ledger. The topics do not tell how commands fell into batches, so its chain is another one: a
seal of the kind `rebuilt` for each OFFSETS_A_SEAL offsets of commands, over the events and dead letters that were read.
"""

import base64
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from zlib import crc32

import orjson
import psycopg

from voucher_ledger.core.records import Place
from voucher_ledger.core.sealing import (
    BETWEEN,
    NO_EVENTS,
    NO_LETTERS,
    Digest,
    digest_of_letters,
    packed_checks,
    packed_offsets,
)
from voucher_ledger.replay.spill import Spill
from voucher_ledger.runtime import seals

OFFSETS_A_SEAL = 5_000
_STREAM = "seals"
_LETTER_BYTES = 40  # the offset in 8, the digest in 32


class OutOfOrder(ValueError):
    """An event does not lie in the order of the commands: the topic is not what processors wrote."""


@dataclass(slots=True)
class _Window:
    """The events that answer commands of OFFSETS_A_SEAL offsets, as far as they have come."""

    number: int
    content: Any = field(default_factory=sha256)
    checks: "array[int]" = field(default_factory=lambda: array("I"))
    offsets: "array[int]" = field(default_factory=lambda: array("Q"))


@dataclass(frozen=True, slots=True)
class Sealed:
    """What one seal is of: commands from `first_offset` up to `next_offset`."""

    first_offset: int
    next_offset: int
    events: Digest
    letters: Digest


class SealsAside:
    """Takes each event and dead letter once. Those of events are put aside on disk; a dead letter is 40 bytes here."""

    def __init__(self, spill: Spill) -> None:
        self._spill = spill
        self._windows: dict[Place, _Window] = {}
        self._letters: dict[Place, bytearray] = {}

    def take_event(self, place: Place, offset: int, value: bytes) -> None:
        """Take the event that answers the command at `offset` of `place`. Raises OutOfOrder."""
        number = offset // OFFSETS_A_SEAL
        window = self._windows.get(place)
        if window is None or window.number < number:
            if window is not None:
                self._put_aside(place, window)
            window = self._windows[place] = _Window(number)
        if number < window.number or (window.offsets and offset <= window.offsets[-1]):
            raise OutOfOrder(f"the event of {place[0]}/{place[1]}/{offset} lies after that of a later command")
        if window.offsets:
            window.content.update(BETWEEN)
        window.content.update(value)
        window.checks.append(crc32(value))
        window.offsets.append(offset)

    def take_letter(self, place: Place, offset: int, digest: bytes) -> None:
        """Take the dead letter of the command at `offset` of `place`, by its `letter_digest`."""
        self._letters.setdefault(place, bytearray()).extend(offset.to_bytes(8, "big") + digest)

    def sealed(self, place: Place, first_offset: int, next_offset: int) -> Iterator[Sealed]:
        """What the seals of a partition are of: up to `next_offset` without a gap, from the command topic's
        `first_offset`, or from the first answer where commands were deleted whose answers are held.
        """
        letters = self._letters_by_window(place)
        events = self._events_by_window(place)
        held = next(events, None)
        answered = [] if held is None else [held[1]]
        answered += [own[0][0] for own in letters.values()]
        expected = min([first_offset, *answered])
        while held is not None or letters:
            number = min([*([] if held is None else [held[0]]), *(list(letters)[:1])])
            end = min((number + 1) * OFFSETS_A_SEAL, next_offset)
            found = held if held is not None and held[0] == number else None
            following = next(events, None) if found is not None else held
            own_letters = letters.pop(number, [])
            if following is None and not letters:
                end = next_offset
            yield Sealed(expected, end, _events(found, expected, end), _letters(own_letters))
            expected, held = end, following
        if expected < next_offset:
            yield Sealed(expected, next_offset, NO_EVENTS, NO_LETTERS)

    def _put_aside(self, place: Place, window: _Window) -> None:
        offsets = window.offsets
        runs_on = offsets[-1] - offsets[0] + 1 == len(offsets)
        line = [
            window.number, offsets[0], len(offsets), window.content.hexdigest(),
            _text(packed_checks(window.checks)), None if runs_on else _text(packed_offsets(offsets)),
        ]  # fmt: skip
        self._spill.add(_owner(place), f"{_STREAM} {place[0]}/{place[1]}", orjson.dumps(line))

    def _events_by_window(self, place: Place) -> Iterator[list[Any]]:
        window = self._windows.pop(place, None)
        if window is not None:
            self._put_aside(place, window)
        for line in self._spill.lines(self._spill.bucket_of(_owner(place)), f"{_STREAM} {place[0]}/{place[1]}"):
            yield orjson.loads(line)

    def _letters_by_window(self, place: Place) -> dict[int, list[tuple[int, bytes]]]:
        """Of one partition at a time, in the order of their offsets, wherever they lay on the topic."""
        packed = bytes(self._letters.get(place, b""))
        by_window: dict[int, list[tuple[int, bytes]]] = {}
        for letter in sorted(packed[at : at + _LETTER_BYTES] for at in range(0, len(packed), _LETTER_BYTES)):
            offset = int.from_bytes(letter[:8], "big")
            by_window.setdefault(offset // OFFSETS_A_SEAL, []).append((offset, letter[8:]))
        return by_window


def write_seals(connection: psycopg.Connection, place: Place, sealed: Iterator[Sealed]) -> None:
    """Append the seals of a partition, in their order. Raises psycopg.Error."""
    topic, partition = place
    for part in sealed:
        row = seals.row_of(partition, part.first_offset, part.next_offset, part.events, part.letters)
        seals.append(connection, topic, [row], "rebuilt")


def _events(line: list[Any] | None, first_offset: int, next_offset: int) -> Digest:
    """The digest of a window's events, in a seal over these offsets."""
    if line is None:
        return NO_EVENTS
    _, start, count, digest, checks, offsets = line
    packed = None if offsets is None else base64.b64decode(offsets)
    if packed is None and (start, start + count) != (first_offset, next_offset):
        packed = packed_offsets(range(start, start + count))
    return Digest(count, bytes.fromhex(digest), base64.b64decode(checks), packed)


def _letters(letters: list[tuple[int, bytes]]) -> Digest:
    if not letters:
        return NO_LETTERS
    return digest_of_letters([digest for _, digest in letters], [offset for offset, _ in letters])


def _owner(place: Place) -> bytes:
    return f"{place[0]}/{place[1]}".encode()


def _text(packed: bytes) -> str:
    return base64.b64encode(packed).decode("ascii")

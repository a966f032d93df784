"""The canonical form of what a batch publishes, whose digest its seal holds: the same for who seals and who verifies.

Events of a partition are ordered by the offsets of the commands that they answer, which their ids tell; so are its
dead letters, by their `dlq_offset`. Of an event its record's value is sealed: the key is in it, and headers it has
none. Of a dead letter key, value and headers are.
"""

import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from zlib import crc32

# Between two events, which are JSON without line breaks.
BETWEEN = b"\n"
_ABSENT = b"\xff\xff\xff\xff"
_CHECK_BYTES, _OFFSET_BYTES = 4, 8


@dataclass(frozen=True, slots=True)
class Digest:
    """What a seal says of a batch's events, or of its dead letters: how many, the SHA-256 of all of them, and of each
    a CRC-32 (4 bytes, big-endian). `offsets` (8 bytes each, big-endian) are their commands' where these do not simply
    follow one another.
    """

    count: int
    sha256: bytes
    checks: bytes
    offsets: bytes | None

    def fits(self, first_offset: int, next_offset: int) -> bool:
        """Whether each record has a check and an offset, in the seal of these commands."""
        told = next_offset - first_offset if self.offsets is None else len(self.offsets) / _OFFSET_BYTES
        return self.count == 0 or (len(self.checks) == _CHECK_BYTES * self.count and told == self.count)


NO_EVENTS = Digest(0, sha256().digest(), b"", None)
NO_LETTERS = Digest(0, b"", b"", b"")


def digest_of_events(events: Sequence[bytes], joined: bytes, first_offset: int, next_offset: int) -> Digest:
    """The digest of a batch's events, which `joined` holds with BETWEEN between them. Cheap: this is the hot path.

    Raises ValueError where one has no id of a command, and the offsets must be told.
    """
    told = len(events) not in (0, next_offset - first_offset)
    offsets = packed_offsets(map(offset_in, events)) if told else None
    return Digest(len(events), sha256(joined).digest(), packed_checks(map(crc32, events)), offsets)


def digest_of_letters(letters: Sequence[bytes], offsets: Sequence[int]) -> Digest:
    """The digest of a batch's dead letters, each told by its `letter_digest`."""
    return Digest(
        len(letters), sha256(b"".join(letters)).digest(), packed_checks(map(crc32, letters)), packed_offsets(offsets)
    )


def letter_digest(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    """A dead letter as it is sealed: SHA-256 of its parts, each after its length, so that none runs into the next."""
    parts = [_framed(key), _framed(value), len(headers).to_bytes(4, "big")]
    for name, held in headers:
        parts += [_framed(name.encode()), _framed(held)]
    return sha256(b"".join(parts)).digest()


def offset_in(event: bytes) -> int:
    """The offset of the command that an encoded event answers: its id is what comes first with a slash in it."""
    try:
        return int(event.split(b"/", 3)[2])
    except (IndexError, ValueError):
        raise ValueError(f"no event with the id of a command: {event[:120]!r}") from None


def packed_checks(checks: Iterable[int]) -> bytes:
    """CRC-32s as 4 bytes each, big-endian."""
    return _packed("I", checks)


def packed_offsets(offsets: Iterable[int]) -> bytes:
    """Offsets as 8 bytes each, big-endian."""
    return _packed("Q", offsets)


def unpacked_offsets(packed: bytes) -> "array[int]":
    """The offsets that `packed_offsets` packed."""
    return _unpacked("Q", packed)


def unpacked_checks(packed: bytes) -> "array[int]":
    """The CRC-32 of each record."""
    return _unpacked("I", packed)


def _framed(part: bytes | None) -> bytes:
    return _ABSENT if part is None else len(part).to_bytes(4, "big") + part


def _packed(code: str, numbers: Iterable[int]) -> bytes:
    made = array(code, numbers)
    if sys.byteorder == "little":
        made.byteswap()
    return made.tobytes()


def _unpacked(code: str, packed: bytes) -> "array[int]":
    made = array(code, packed)
    if sys.byteorder == "little":
        made.byteswap()
    return made

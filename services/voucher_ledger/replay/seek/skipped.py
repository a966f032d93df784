"""The records that a seek skips, as the dead letters that they become: none is lost, each can be driven again."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from confluent_kafka import Message

from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.reading import Span, records
from voucher_ledger.runtime.incoming import dead_letter, not_repeated
from voucher_ledger.runtime.outbox import DeadLetter, Share
from voucher_ledger.runtime.settings import Settings

# One Postgres transaction takes them all, and one outbox row takes a share.
SKIPPED_BYTES_MAX = 128 * 1_048_576
_LETTERS_A_SHARE_MAX = 1_000
_BYTES_A_SHARE_MAX = 16 * 1_048_576


@dataclass(slots=True)
class Skipped:
    """The records of a skipped range in order, and the latest of their times."""

    letters: list[DeadLetter] = field(default_factory=list)
    time_ms: int = 0
    size_bytes: int = 0


def read_skipped(settings: Settings, span: Span, reason: str, count_max: int) -> Skipped:
    """Read what a seek over `span` would skip.

    Raises:
        Refused: more than `count_max` records or SKIPPED_BYTES_MAX bytes.
        Unread: a record there can't even be read.
    """
    found = Skipped()
    for record in records(settings, [span]):
        if len(found.letters) >= count_max:
            raise Refused(
                f"more than --max {count_max:,} records would be skipped: is {span.end} the right offset? "
                "(What is to be kept is decided first: see the runbook in docs/OPERATIONS-DEAD-LETTERS.md)"
            )
        _add(found, record, reason)
        if found.size_bytes > SKIPPED_BYTES_MAX:
            raise Refused(f"more than {SKIPPED_BYTES_MAX:,} bytes would be skipped: do it in parts")
    return found


def shares(skipped: Skipped, partition: int, start: int, end: int) -> list[Share]:
    """The outbox rows that cover the offsets from `start` up to `end` without a gap, dead letters only."""
    parts: list[list[DeadLetter]] = [[]]
    size_bytes = 0
    for letter in skipped.letters:
        if len(parts[-1]) >= _LETTERS_A_SHARE_MAX or size_bytes > _BYTES_A_SHARE_MAX:
            parts.append([])
            size_bytes = 0
        parts[-1].append(letter)
        size_bytes += _size_bytes(letter)
    made: list[Share] = []
    for part in parts:
        first = made[-1].next_offset if made else start
        made.append(Share(partition, first, part[-1].offset + 1 if part else end, dead_letters=part))
    made[-1].next_offset = end  # what follows the last record there: gaps that transactions leave
    return made


def _add(found: Skipped, record: Message, reason: str) -> None:
    letter = dead_letter(record, f"skipped by operator: {reason}")  # type: ignore[arg-type]
    found.letters.append(letter)
    found.time_ms = max(found.time_ms, int(record.timestamp()[1]))
    found.size_bytes += _size_bytes(letter)


def _size_bytes(letter: DeadLetter) -> int:
    return len(letter.key or b"") + len(letter.value or b"") + sum(_length(held) for _, held in letter.headers)


def _length(held: bytes | None) -> int:
    return len(held or b"")


def _lacking(letter: DeadLetter) -> str:
    lacking = not_repeated(letter.error)
    return f" (not in the letter: {lacking})" if lacking else ""


def named(letters: Iterable[DeadLetter]) -> list[str]:
    """Each letter by its offset, key and size, for people."""
    return [
        f"offset {letter.offset}: key {(letter.key or b'').decode('utf-8', 'backslashreplace')!r}, "
        f"{len(letter.value or b''):,} bytes{_lacking(letter)}"
        for letter in letters
    ]

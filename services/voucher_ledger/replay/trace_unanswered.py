"""Why a command that is decided has no event: it is a dead letter, or what it led to is not published yet."""

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Protocol

from confluent_kafka import Message

from voucher_ledger.core.records import Place
from voucher_ledger.replay.answers import Cause
from voucher_ledger.replay.dead_letters.letters import Letter, letter
from voucher_ledger.replay.dead_letters.shown import plain
from voucher_ledger.replay.topic_reader import Range
from voucher_ledger.runtime.publisher import DEAD_LETTER_TOPIC

LETTERS_READ_MAX = 10_000
REASON_CHARACTERS_MAX = 200
# A letter is younger than its command, but for the clocks of those who wrote the two.
_CLOCKS_DIFFER_MS = 60_000


class Reader(Protocol):
    """What reads the committed records of partitions."""

    def ranges(self, topics: Collection[str]) -> Mapping[Place, Range]:
        """What each partition of `topics` holds now."""

    def offsets_at(self, places: Collection[Place], time_ms: int) -> Mapping[Place, int]:
        """Where in each of `places` the records of `time_ms` and later begin."""

    def read(self, starts: Mapping[Place, int]) -> Iterable[Message]:
        """The records from these offsets to the ends."""


def why_unanswered(
    reader: Reader, cause: Cause, time_ms: int | None, outbox: Mapping[Place, Range], events_begin: int
) -> str:
    """What to say of a decided command, of `time_ms` where that is known, that no event answers. `outbox` is what was
    unpublished before its event was looked for; its topic of events begins at `events_begin`.

    Raises NotSetUp, Unreachable, Unread.
    """
    found = _letter_of(reader, cause, time_ms)
    if found is not None:
        return f"it is the dead letter {found.name}: {plain(found.error, REASON_CHARACTERS_MAX)}"
    waiting = outbox.get((cause.topic, cause.partition), Range(0, 0))
    if waiting.low <= cause.offset < waiting.high:
        return "decided, but still in the outbox: does a processor of the room run?"
    deleted = f"it was deleted (the topic begins at {events_begin}), or " if events_begin > 0 else ""
    looked = f"{LETTERS_READ_MAX:,} dead letters that were written from its time on"
    return f"no event answers it: {deleted}it is none of the {looked} (see `voucher-ledger replay verify`)"


def _letter_of(reader: Reader, cause: Cause, time_ms: int | None) -> Letter | None:
    """Its dead letter, among the first LETTERS_READ_MAX that can be it."""
    held = reader.ranges([DEAD_LETTER_TOPIC])
    place = (DEAD_LETTER_TOPIC, cause.partition % len(held))  # as `runtime.publisher` chooses it
    start = held[place].low
    if time_ms is not None:
        start = max(start, reader.offsets_at([place], max(0, time_ms - _CLOCKS_DIFFER_MS))[place])
    letters = map(letter, islice(reader.read({place: start}), LETTERS_READ_MAX))
    where = (cause.topic, cause.partition, cause.offset)
    return next((one for one in letters if (one.topic, one.cause_partition, one.cause_offset) == where), None)

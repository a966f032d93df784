"""What has been done about dead letters: a record a mark on `ledger.dead-letter-marks`, keyed by the letter's place.

A letter's mark is written in the Kafka transaction that sends its record again. So there is one truth of what was
driven again, it can't part from what was sent, and a tool that is killed leaves both or neither.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import orjson
from confluent_kafka import Message

from voucher_ledger.core.clock import milliseconds, rfc3339
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.reading import records, spans
from voucher_ledger.runtime.settings import Settings

MARK_TOPIC = "ledger.dead-letter-marks"
# Some 300 bytes each in memory: past this, old marks and letters are to be dropped from both topics, which costs the
# rebuild: it can't tell a letter that was deleted from an answer that was lost.
MARKS_MAX = 2_000_000


class MarkKind(StrEnum):
    """What was done."""

    REDRIVEN = "redriven"
    QUARANTINED = "quarantined"
    RELEASED = "released"  # from quarantine


@dataclass(frozen=True, slots=True)
class Mark:
    """What was done about one letter. `to` is where its record lies now, `topic/partition/offset` (redriven only)."""

    kind: MarkKind
    operation_id: str
    actor: str
    reason: str
    time_ms: int
    to: str | None = None
    edited: bool = False

    def to_json(self) -> bytes:
        """The value of its record."""
        return orjson.dumps(
            {
                "mark": self.kind.value, "operation_id": self.operation_id, "actor": self.actor, "reason": self.reason,
                "at": rfc3339(self.time_ms), "to": self.to, "edited": self.edited,
            }
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Marks:
    """All marks: of each letter the one that tells what is done about it, and how many there are in all.

    That is its last one, or where this lifts a quarantine the redrive before that: it was driven still, and to take it
    for open would drive it twice.
    """

    last: dict[tuple[int, int], Mark]
    count: int


def mark_key(place: tuple[int, int]) -> bytes:
    """The key of a letter's marks."""
    return f"{place[0]}/{place[1]}".encode()


def read_marks(settings: Settings) -> Marks:
    """Read all marks that are committed.

    Raises:
        NotSetUp: there is no topic of marks.
        Refused: there are more than MARKS_MAX, or a record that is no mark: to pass it over might drive a letter twice.
        Unreachable, Unread: Kafka does not answer.
    """
    last: dict[tuple[int, int], Mark] = {}
    driven: dict[tuple[int, int], Mark] = {}  # only of letters that were quarantined since
    count = 0
    for place, mark in _marks(records(settings, spans(settings, MARK_TOPIC))):
        former = last.get(place)
        if former is not None and (former.kind, mark.kind) == (MarkKind.REDRIVEN, MarkKind.QUARANTINED):
            driven[place] = former
        last[place] = driven.get(place, mark) if mark.kind is MarkKind.RELEASED else mark
        count += 1
        if count > MARKS_MAX:
            raise Refused(
                f"{MARK_TOPIC} holds more than {MARKS_MAX:,} marks: drop the old ones with their letters, knowing that "
                "`replay rebuild` refuses from then on"
            )
    return Marks(last, count)


def history(settings: Settings, place: tuple[int, int]) -> list[Mark]:
    """Every mark of one letter, the oldest first. Raises as `read_marks`."""
    return [mark for found, mark in _marks(records(settings, spans(settings, MARK_TOPIC))) if found == place]


def _marks(found: Iterable[Message]) -> Iterable[tuple[tuple[int, int], Mark]]:
    for record in found:
        try:
            partition, offset = (record.key() or b"").split(b"/")
            yield (int(partition), int(offset)), _mark(orjson.loads(record.value() or b""))
        except (ValueError, KeyError, TypeError) as error:
            where = f"{MARK_TOPIC}/{record.partition()}/{record.offset()}"
            raise Refused(f"{where} is no mark of a dead letter ({error!r}): who wrote it?") from error


def _mark(held: dict[str, Any]) -> Mark:
    return Mark(
        MarkKind(held["mark"]), held["operation_id"], held["actor"], held["reason"], milliseconds(held["at"]),
        held["to"], held["edited"],
    )  # fmt: skip

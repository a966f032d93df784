"""Whether every decided command was answered exactly once, by an event or by a dead letter: gaps and duplicates by id.

Memory is bounded: one byte a command, whatever it holds.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from voucher_ledger.core.messages import EVENT_TOPIC_BY_COMMAND_TOPIC
from voucher_ledger.core.records import Place
from voucher_ledger.core.wording import counted
from voucher_ledger.replay.beyond import Beyond, BeyondAnswer

EVENT_TOPICS: dict[str, str] = {str(commands): events for commands, events in EVENT_TOPIC_BY_COMMAND_TOPIC.items()}
FAULTS_SHOWN_MAX = 20
REASONS_MAX = 10_000
# No partition is decided beyond this. What claims to be lies past every bound, also where all there is, is read.
NO_END = 2**62
_CHUNK = 65_536

EventData = dict[str, Any]


class Cause(NamedTuple):
    """The place of the command that an event or a dead letter answers."""

    topic: str
    partition: int
    offset: int


class Outcome(NamedTuple):
    """What kind of answer an event is; `reason` is a refusal's."""

    type: str
    reason: str | None
    duplicate: bool


@dataclass(slots=True)
class AnswersReport:
    """What the topics say of the commands below the bounds, by command topic; FAULTS_SHOWN_MAX faults are in words."""

    answered: Counter[str] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    dead_letters: Counter[str] = field(default_factory=Counter)
    dead_letter_reasons: Counter[str] = field(default_factory=Counter)
    fault_count: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every command has exactly one answer, and every answer a command."""
        return self.fault_count == 0

    def blame(self, fault: str, count: int = 1) -> None:
        """Count faults, and keep the words while there are few."""
        self.fault_count += count
        if len(self.faults) < FAULTS_SHOWN_MAX:
            self.faults.append(fault)


class Marks:
    """A set of a partition's offsets, a byte each where there are any near; `end` is the one after the last."""

    def __init__(self) -> None:
        self._chunks: dict[int, bytearray] = {}
        self.count = 0
        self.end = 0

    def add(self, offset: int) -> bool:
        """Mark an offset; whether it was not marked yet."""
        number, index = divmod(offset, _CHUNK)
        chunk = self._chunks.get(number)
        if chunk is None:
            chunk = self._chunks[number] = bytearray(_CHUNK)
        if chunk[index]:
            return False
        chunk[index] = 1
        self.count += 1
        self.end = max(self.end, offset + 1)
        return True

    def __contains__(self, offset: int) -> bool:
        chunk = self._chunks.get(offset // _CHUNK)
        return chunk is not None and bool(chunk[offset % _CHUNK])

    def marked(self, low: int, high: int) -> Iterator[int]:
        """The marked offsets from `low` up to `high`."""
        return (offset for offset in range(low, high) if offset in self)

    def unmarked(self, low: int, high: int) -> Iterator[int]:
        """The offsets from `low` up to `high` that are not marked; quick where few are missing."""
        offset = low
        while offset < high:
            number, index = divmod(offset, _CHUNK)
            end = min(high - number * _CHUNK, _CHUNK)
            chunk = self._chunks.get(number)
            found = index if chunk is None else chunk.find(0, index, end)
            if found < 0:
                offset = number * _CHUNK + end
                continue
            yield number * _CHUNK + found
            offset = number * _CHUNK + found + 1


class Answers:
    """Takes every event and dead letter once; `bounds` are the command offsets judged: from, and up to, by place."""

    def __init__(self, bounds: Mapping[Place, tuple[int, int]]) -> None:
        self.report = AnswersReport()
        self.marks: dict[Place, Marks] = {place: Marks() for place in bounds}
        self.dead_letters: Counter[Place] = Counter()
        self.beyond = Beyond()
        self._bounds = bounds

    def take_event(self, event: EventData, place: Place, offset: int) -> bool:
        """Note an event found at `place` and `offset`; whether its effect counts (it is within bounds, and no repeat).

        Raises KeyError, TypeError, ValueError or AttributeError where it is no event with the id of a command.
        """
        topic, partition, cause_offset, index = event["id"].split("/")
        cause = Cause(topic, _natural(partition), _natural(cause_offset))
        if index != "0":
            raise ValueError(f"{event['id']}: a command has one event, whose index is 0")
        data, type_ = event["data"], event["type"]
        if (EVENT_TOPICS.get(topic), cause.partition) != place:
            self.report.blame(f"{_at(place, offset)} answers {event['id']}, whose answer belongs elsewhere")
            return False
        if not self._within(cause, place, offset):
            return False
        # A cancel's or refund's reason is the user's own words, and no refusal.
        reason = data.get("reason") if type_.endswith(".rejected") else None
        self.report.outcomes[Outcome(type_, reason, "duplicate" in data)] += 1
        return self._answered(cause, place, offset)

    def take_dead_letter(self, headers: Mapping[str, bytes], place: Place, offset: int) -> Cause | None:
        """Note a dead letter found at `place` and `offset`, by its headers; its cause, where it counts as an answer."""
        try:
            topic, partition, cause_offset, reason = (
                headers[name].decode() for name in ("dlq_topic", "dlq_partition", "dlq_offset", "dlq_error")
            )
            cause = Cause(topic, _natural(partition), _natural(cause_offset))
        except (KeyError, ValueError):
            self.report.blame(f"{_at(place, offset)} does not say which record it holds")
            return None
        if not self._within(cause, place, offset):
            return None
        self.report.dead_letters[topic] += 1
        reasons = self.report.dead_letter_reasons
        reasons[reason if reason in reasons or len(reasons) < REASONS_MAX else "another reason"] += 1
        if not self._answered(cause, place, offset):
            return None
        self.dead_letters[cause.topic, cause.partition] += 1
        return cause

    def missing(self, place: Place, low: int, high: int) -> int:
        """How many of the offsets from `low` up to `high` are not answered."""
        return sum(1 for _ in self.marks[place].unmarked(low, high))

    def judge(self, place: Place, commands: Marks, low: int, high: int) -> None:
        """Compare the answers of a partition with its `commands`, of which those from `low` up to `high` are known."""
        marks = self.marks[place]
        missing = [offset for offset in marks.unmarked(low, high) if offset in commands]
        if missing:
            self.report.unanswered[place[0]] += len(missing)
            shown = ", ".join(str(offset) for offset in missing[:FAULTS_SHOWN_MAX])
            more = ", and more" if len(missing) > FAULTS_SHOWN_MAX else ""
            text = f"{place[0]}/{place[1]}: {counted(len(missing), 'command')} not answered: {shown}{more}"
            self.report.blame(text, len(missing))
        for offset in marks.marked(low, high):
            if offset not in commands:
                self.report.blame(f"{place[0]}/{place[1]}/{offset} is answered, and no command is there")

    def _within(self, cause: Cause, place: Place, offset: int) -> bool:
        commands = (cause.topic, cause.partition)
        first, following = self._bounds.get(commands, (0, 0))
        if cause.offset >= following:
            self.beyond.add(commands, BeyondAnswer(cause.offset, place, offset))
        return first <= cause.offset < following

    def _answered(self, cause: Cause, place: Place, offset: int) -> bool:
        if self.marks[cause.topic, cause.partition].add(cause.offset):
            self.report.answered[cause.topic] += 1
            return True
        self.report.blame(f"{_at(place, offset)} answers {cause.topic}/{cause.partition}/{cause.offset} once more")
        return False


def _natural(text: str) -> int:
    """A partition or an offset, spelled as the processors do: `-3`, `+3` and `03` name none. Raises ValueError."""
    if not text.isdecimal() or str(number := int(text)) != text or number >= NO_END:
        raise ValueError(f"{text!r} is no offset")
    return number


def _at(place: Place, offset: int) -> str:
    return f"{place[0]}/{place[1]}/{offset}"

"""What a ledger is rebuilt from: all events and dead letters, read once and proven whole, and campaign commands."""

import time
from dataclasses import dataclass, field
from typing import Any

import orjson
from confluent_kafka import KafkaError, KafkaException, Message

from voucher_ledger.core.clock import milliseconds
from voucher_ledger.core.messages import ROOM_BY_COMMAND_TOPIC
from voucher_ledger.core.records import Command, Place
from voucher_ledger.core.sealing import letter_digest
from voucher_ledger.replay.answers import EVENT_TOPICS, NO_END, Answers, Cause
from voucher_ledger.replay.clock_order import cause_of
from voucher_ledger.replay.commands_there import commands_there
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.events_aside import EventsAside
from voucher_ledger.replay.members import refuse_while_decided
from voucher_ledger.replay.rebuild_seals import OutOfOrder, SealsAside
from voucher_ledger.replay.spill import Spill
from voucher_ledger.replay.topic_reader import Range, TopicReader, offset_of, place_of, time_ms_of
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.group_offsets import committed_offsets
from voucher_ledger.runtime.incoming import readable_headers
from voucher_ledger.runtime.kafka import group_of
from voucher_ledger.runtime.publisher import DEAD_LETTER_TOPIC
from voucher_ledger.runtime.settings import Settings

CAMPAIGN_COMMANDS = "campaign.commands"
# Longer than a killed processor's transaction can stay open.
OPEN_TRANSACTION_SECONDS_MAX = 60.0
_LOOK_AGAIN_SECONDS = 0.2


@dataclass(slots=True)
class SourcePosition:
    """Where a partition's events end: as books.position has it."""

    next_offset: int
    decided: int
    dead_lettered: int
    record_time_ms: int


@dataclass(slots=True)
class Source:
    """The events put aside, and what else the books need. `commands` are the accepted ones of campaigns."""

    events: EventsAside
    seals: SealsAside
    answers: Answers
    positions: dict[Place, SourcePosition]
    commands: dict[Cause, Command]
    times_ms: dict[Place, int] = field(default_factory=dict)
    first_offsets: dict[Place, int] = field(default_factory=dict)


def read_source(settings: Settings, reader: TopicReader, spill: Spill) -> Source:
    """Read all topics of events, and prove that no event is missing, doubled or beyond what the groups committed.

    Raises Refused where one is, or a processor runs, Unreachable, NotSetUp, and Unread where a topic can't be read to
    its end.
    """
    refuse_while_decided(settings)
    held = reader.ranges([*EVENT_TOPICS, *EVENT_TOPICS.values(), DEAD_LETTER_TOPIC])
    commands = {place: range_ for place, range_ in held.items() if place[0] in EVENT_TOPICS}
    outputs = {place: range_.low for place, range_ in held.items() if place not in commands}
    deleted = sorted(f"{topic}/{number} begins at {low}" for (topic, number), low in outputs.items() if low > 0)
    if deleted:
        raise Refused(f"earlier events or dead letters were deleted, so the whole is not told: {', '.join(deleted)}")
    answers = Answers(dict.fromkeys(commands, (0, NO_END)))
    source = Source(EventsAside(spill), SealsAside(spill), answers, {}, {})
    source.first_offsets = {place: range_.low for place, range_ in commands.items()}
    for record in reader.read(outputs):
        _take(source, record)
    _judge(reader, answers, commands)
    _fill_positions(source)
    _go_on_past_gaps(settings, reader, source)
    compare_with_groups(settings, source)
    _read_campaigns(reader, source, commands)
    return source


def _take(source: Source, record: Message) -> None:
    place, offset = place_of(record), offset_of(record)
    if place[0] == DEAD_LETTER_TOPIC:
        headers = readable_headers(record) or []  # what can't be read says of no record, and is blamed for it
        told = {name: value for name, value in dict(headers).items() if isinstance(value, bytes)}
        if (letter := source.answers.take_dead_letter(told, place, offset)) is not None:
            digest = letter_digest(record.key(), record.value(), headers)
            source.seals.take_letter((letter.topic, letter.partition), letter.offset, digest)
        return
    value = record.value() or b""
    try:
        event = orjson.loads(value)
        if source.answers.take_event(event, place, offset):
            source.events.take(event, value)
            cause = cause_of(event)
            at = (cause.topic, cause.partition)
            source.seals.take_event(at, cause.offset, value)
            source.times_ms[at] = max(milliseconds(event["time"]), source.times_ms.get(at, 0))
    except OutOfOrder as error:
        source.answers.report.blame(str(error))
    except (ValueError, KeyError, TypeError, AttributeError):
        source.answers.report.blame(f"{place[0]}/{place[1]}/{offset} is no event with the id of a command")


def _judge(reader: TopicReader, answers: Answers, commands: dict[Place, Range]) -> None:
    for place, (low, high) in sorted(commands.items()):
        marks = answers.marks[place]
        if marks.end > high:
            answers.report.blame(f"{place[0]}/{place[1]}/{marks.end - 1} is answered, and no command is there")
        elif answers.missing(place, low, marks.end):
            answers.judge(place, commands_there(reader, place, low, marks.end), low, marks.end)
    if not answers.report.passed:
        shown = "; ".join(answers.report.faults)
        raise Refused(f"the events are not whole ({answers.report.fault_count} faults): {shown}")


def _fill_positions(source: Source) -> None:
    for place, marks in source.answers.marks.items():
        if marks.count:
            letters = source.answers.dead_letters[place]
            time_ms = source.times_ms.get(place, 0)
            source.positions[place] = SourcePosition(marks.end, marks.count - letters, letters, time_ms)


def _go_on_past_gaps(settings: Settings, reader: TopicReader, source: Source) -> None:
    """A seek commits the offset that it is told to: past the last command there may be a transaction's marker, which is
    no record and has no answer. So a position is where its group is, where no record lies between.
    """
    for place, offset in sorted(_settled_offsets(settings).items()):
        position = source.positions.get(place)
        end = source.first_offsets.get(place, 0) if position is None else position.next_offset
        if offset <= end:
            continue
        record = reader.record_from(place, end)
        if record is None or offset_of(record) >= offset:
            source.positions.setdefault(place, SourcePosition(offset, 0, 0, 0)).next_offset = offset


def compare_with_groups(settings: Settings, source: Source) -> None:
    """Processors go on where their group's offsets are; what is not there moves on, or was never published.

    Raises Refused where a group stands elsewhere than the events end or is just publishing, Unreachable.
    """
    for place, offset in sorted(_settled_offsets(settings).items()):
        position = source.positions.get(place)
        end = source.first_offsets.get(place, 0) if position is None else position.next_offset
        if offset != end:
            where = f"{place[0]}/{place[1]}: the events end at {end}, the group has committed {offset}"
            raise Refused(f"{where}: does a processor still run? Stop all of them, then try again")


def _settled_offsets(settings: Settings) -> dict[Place, int]:
    """The groups' offsets once no transaction is open on them: one that is open belongs to a processor that publishes,
    or to one that was killed, which Kafka aborts before long.
    """
    deadline = time.monotonic() + OPEN_TRANSACTION_SECONDS_MAX
    while True:
        try:
            return _committed_offsets(settings)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNSTABLE_OFFSET_COMMIT:
                raise Unreachable(f"Kafka at {settings.kafka} does not answer: {error.args[0].str()}") from error
        if time.monotonic() > deadline:
            raise Refused("a processor is publishing, or a killed one's transaction is open: stop all, then try again")
        time.sleep(_LOOK_AGAIN_SECONDS)


def _committed_offsets(settings: Settings) -> dict[Place, int]:
    """Raises KafkaException where Kafka does not answer, or a commit is under way in an open transaction."""
    found: dict[Place, int] = {}
    for topic, room in ROOM_BY_COMMAND_TOPIC.items():
        offsets = committed_offsets(settings, group_of(room), stable=True)
        found.update({place: offset for place, offset in offsets.items() if place[0] == topic})
    return found


def _read_campaigns(reader: TopicReader, source: Source, commands: dict[Place, Range]) -> None:
    wanted = {cause_of(event) for event in source.events.of_campaigns}
    for record in reader.read({place: held.low for place, held in commands.items() if place[0] == CAMPAIGN_COMMANDS}):
        cause = Cause(*place_of(record), offset_of(record))
        if cause in wanted:
            envelope: dict[str, Any] = orjson.loads(record.value() or b"")
            source.commands[cause] = Command(
                envelope["type"], envelope["id"], envelope["data"], cause.partition, cause.offset, time_ms_of(record)
            )
    if missing := sorted("/".join(map(str, cause)) for cause in wanted - source.commands.keys()):
        raise Refused(
            f"the rules of campaigns are in their commands only, and these were deleted: {', '.join(missing)}"
        )

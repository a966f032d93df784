"""The chain of one voucher, order, user or event: for each cause the command's record, what it moved, and the event."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from confluent_kafka import Message

from voucher_ledger.core.records import Place
from voucher_ledger.replay.answers import EVENT_TOPICS, Cause
from voucher_ledger.replay.event_search import find_event
from voucher_ledger.replay.topic_reader import Range, TopicReader, offset_of, place_of, time_ms_of
from voucher_ledger.replay.trace_subject import Row, Subject, UnknownSubject
from voucher_ledger.replay.trace_unanswered import why_unanswered


@dataclass(slots=True)
class Step:
    """A command and what came of it. `command` or `event` is None where there is no record: a note says why.

    Times are the records' timestamps, in milliseconds since 1970.
    """

    cause: Cause
    command: dict[str, Any] | None = None
    command_time_ms: int | None = None
    transfers: list[Row] = field(default_factory=list)
    event: dict[str, Any] | None = None
    published_ms: int | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Trace:
    """The steps in the order of their times; `left_out` causes were too many. Where the topics were `scanned`, what
    moved nothing is among them.
    """

    subject: Subject
    steps: list[Step]
    left_out: int
    scanned: bool = False


def trace(reader: TopicReader, subject: Subject, *, steps_max: int, scan: bool) -> Trace:
    """Read the records of the subject's causes, each by its offset.

    With `scan`, the events of the users' partitions are read from the first to the last too: refusals, duplicates and
    refunds of a part move nothing, so no transfer knows of them. Raises UnknownSubject where the ledger has no rows of
    the subject and no event names it, or its record is not there, Unread, Unreachable, NotSetUp.
    """
    commands = reader.ranges(EVENT_TOPICS)
    _refuse_nothing_there(subject, commands)
    events = reader.ranges(set(EVENT_TOPICS.values()))
    causes = subject.causes()
    if scan:
        causes = list(dict.fromkeys([*causes, *_scanned(reader, subject, causes, events)]))
    if not causes and not subject.known():
        raise UnknownSubject(f"neither the ledger nor an event that the topics still hold names {subject.key!r}")
    moved: dict[Cause, list[Row]] = {}
    for row in subject.transfers:
        moved.setdefault(Cause(row["cause_topic"], row["cause_partition"], row["cause_offset"]), []).append(row)
    steps = []
    for cause in causes[:steps_max]:
        step = Step(cause, transfers=moved.get(cause, []))
        _read_command(reader, step, commands)
        _read_event(reader, step, events, subject)
        steps.append(step)
    steps.sort(key=_time_of)
    if not subject.known():
        subject.kind = _kind(subject, steps)
    return Trace(subject, steps, max(0, len(causes) - steps_max), scan)


def _refuse_nothing_there(subject: Subject, held: dict[Place, Range]) -> None:
    if subject.cause is None or subject.transfers:
        return
    topic, partition, offset = subject.cause
    if (topic, partition) not in held:
        raise UnknownSubject(f"{subject.key!r}: {topic} has no partition {partition}")
    if offset >= (high := held[topic, partition].high):
        raise UnknownSubject(f"{subject.key!r}: {topic}/{partition} ends at {high}, so no record has this offset yet")


def _kind(subject: Subject, steps: Iterable[Step]) -> str:
    """What the events take this one for, of which the ledger has no rows."""
    named = [step.event.get("data", {}) for step in steps if step.event is not None]
    kinds = ("user", "order", "voucher")
    told = (kind for kind in kinds if any(data.get(f"{kind}_id") == subject.key for data in named))
    is_further = any(subject.key in (data.get("more_voucher_ids") or ()) for data in named)
    return next(told, "voucher" if is_further else subject.kind)


def _time_of(step: Step) -> tuple[int, Cause]:
    moved_ms = round(step.transfers[0]["at"].timestamp() * 1_000) if step.transfers else 0
    return (moved_ms if step.command_time_ms is None else step.command_time_ms, step.cause)


def _read_command(reader: TopicReader, step: Step, held: dict[Place, Range]) -> None:
    place = (step.cause.topic, step.cause.partition)
    low, high = held.get(place, Range(0, 0))
    if step.cause.offset < low:
        step.notes.append(f"the command's record was deleted: the topic begins at {low}")
    elif step.cause.offset >= high:
        step.notes.append("there is no such record")
    else:
        record = reader.record_from(place, step.cause.offset)
        if record is None or offset_of(record) != step.cause.offset:
            step.notes.append("the topic has no record at this offset that can be read")
            return
        step.command, step.command_time_ms = _decoded(record), time_ms_of(record)


def _read_event(reader: TopicReader, step: Step, held: dict[Place, Range], subject: Subject) -> None:
    topic, partition, offset = step.cause
    if offset >= subject.positions.get((topic, partition), 0):
        step.notes.append("not decided yet")
        return
    range_ = held.get((EVENT_TOPICS[topic], partition), Range(0, 0))
    record = find_event(reader, step.cause, range_)
    if record is not None:
        step.event, step.published_ms = _decoded(record), time_ms_of(record)
        return
    step.notes.append(why_unanswered(reader, step.cause, step.command_time_ms, subject.outbox, range_.low))


def _scanned(
    reader: TopicReader, subject: Subject, causes: Sequence[Cause], events: dict[Place, Range]
) -> Iterable[Cause]:
    """The causes of all events that name the subject, in the partitions of what is known (or all)."""
    needles = [needle.encode() for needle in ({subject.key} if subject.kind != "event" else subject.user_ids())]
    partitions = {cause.partition for cause in causes}
    starts = {
        place: held.low
        for place, held in events.items()
        if place[0] != "campaign.events" and (not partitions or place[1] in partitions)
    }
    for record in reader.read(starts):
        value = record.value() or b""
        if any(needle in value for needle in needles):
            event = _decoded(record)
            named = _named((event or {}).get("data", {}))
            if event is not None and any(needle.decode() in named for needle in needles):
                topic = next(commands for commands, name in EVENT_TOPICS.items() if name == place_of(record)[0])
                yield Cause(topic, place_of(record)[1], int(event["id"].split("/")[2]))


def _named(data: dict[str, Any]) -> set[str]:
    """Every value in an event's data as text; an order names its further vouchers in a list."""
    items = (value if isinstance(value, list) else [value] for value in data.values())
    return {str(item) for part in items for item in part}


def _decoded(record: Message) -> dict[str, Any] | None:
    try:
        found = orjson.loads(record.value() or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

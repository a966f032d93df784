"""Proves from the topics alone that every command was answered exactly once, by an event or by a dead letter.

Read with read_committed, as any reader of the events does. Memory is bounded: one byte a command, whatever it holds.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from threading import Event
from typing import NamedTuple

import orjson
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from voucher_ledger.core.messages import EVENT_TOPIC_BY_COMMAND_TOPIC
from voucher_ledger.produce.clients import known_topics, open_client, settled
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, consumer_config
from voucher_ledger.runtime.settings import Settings

DEAD_LETTER_TOPIC = "ledger.dead-letters"
FAULTS_SHOWN_MAX = 20
REASONS_MAX = 10_000
RECORDS_A_READ_MAX = 10_000
SILENCE_SECONDS_MAX = 30.0

_NO_COMMAND, _UNANSWERED, _ANSWERED, _REPEATED = 0, 1, 2, 3
_PASSING = frozenset([KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT])

Place = tuple[str, int]

_EVENT_TOPICS: dict[str, str] = {str(commands): events for commands, events in EVENT_TOPIC_BY_COMMAND_TOPIC.items()}


class Outcome(NamedTuple):
    """What kind of answer an event is; `reason` is a refusal's."""

    type: str
    reason: str | None
    duplicate: bool


class Unread(Exception):
    """The topics could not be read to their ends."""


@dataclass(slots=True)
class AnswersReport:
    """What the topics say. `commands` and `unanswered` are by topic; at most FAULTS_SHOWN_MAX faults are in words."""

    commands: Counter[str] = field(default_factory=Counter)
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

    def blame(self, fault: str) -> None:
        """Count a fault, and keep its words while there are few."""
        self.fault_count += 1
        if len(self.faults) < FAULTS_SHOWN_MAX:
            self.faults.append(fault)


@dataclass(slots=True)
class _Marks:
    """One partition of commands: a byte an offset, from the partition's first."""

    first_offset: int
    states: bytearray


def check_answers(settings: Settings, stop: Event) -> AnswersReport:
    """Compare all command topics with their event topics and the dead letters, from their first records to their ends.

    For topics at rest: a command that is decided meanwhile counts as unanswered. `stop` ends it early.
    Raises Unreachable, NotSetUp, and Unread where a topic can't be read to its end (or `stop` was set).
    """
    return _Check(settings, stop).run()


class _Check:
    def __init__(self, settings: Settings, stop: Event) -> None:
        self._settings = settings
        self._stop = stop
        self._report = AnswersReport()
        self._marks: dict[Place, _Marks] = {}
        self._consumer = open_client(
            Consumer,
            consumer_config(settings, "voucher-ledger-verify", auto_offset_reset="earliest", enable_partition_eof=True),
        )

    def run(self) -> AnswersReport:
        commands, events = set(_EVENT_TOPICS), set(_EVENT_TOPICS.values())
        try:
            for record in self._records(commands):
                self._note_command(record)
            for record in self._records({*events, DEAD_LETTER_TOPIC}):
                if record.topic() == DEAD_LETTER_TOPIC:
                    self._note_dead_letter(record)
                else:
                    self._note_event(record)
        except KafkaException as error:
            raise Unreachable(f"Kafka at {self._settings.kafka} does not answer: {error.args[0].str()}") from error
        finally:
            self._consumer.close()
        self._blame_unanswered()
        return self._report

    def _records(self, wanted: Collection[str]) -> Iterator[Message]:
        """The records of these topics from the first to the end, which each partition reports of itself."""
        known = known_topics(self._consumer, self._settings.kafka, wanted)
        left: set[Place] = set()
        for topic in wanted:
            for number in known[topic].partitions:
                place = TopicPartition(topic, number)
                low, high = settled(partial(self._consumer.get_watermark_offsets, place, REQUEST_SECONDS_MAX))
                if topic in _EVENT_TOPICS:
                    self._marks[topic, number] = _Marks(low, bytearray(high - low))
                if high > low:
                    left.add((topic, number))
        self._consumer.assign([TopicPartition(topic, number, self._first(topic, number)) for topic, number in left])
        heard_seconds = time.monotonic()
        while left:
            records = self._consumer.consume(RECORDS_A_READ_MAX, 0.2)
            if records:
                heard_seconds = time.monotonic()
            if self._stop.is_set() or time.monotonic() - heard_seconds > SILENCE_SECONDS_MAX:
                why = "stopped" if self._stop.is_set() else f"nothing came for {SILENCE_SECONDS_MAX:.0f} s"
                raise Unread(f"{len(left)} partitions were not read to their ends: {why}")
            for record in records:
                error = record.error()
                if error is None:
                    yield record
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(_place(record))
                elif error.code() not in _PASSING and not error.retriable():
                    raise Unread(f"{record.topic()}/{record.partition()}: {error.str()}")
        self._consumer.unassign()

    def _first(self, topic: str, number: int) -> int:
        marks = self._marks.get((topic, number))
        return 0 if marks is None else marks.first_offset

    def _note_command(self, record: Message) -> None:
        marks = self._marks[_place(record)]
        index = _offset(record) - marks.first_offset
        if index < len(marks.states):  # what came after its partition was measured is another check's
            marks.states[index] = _UNANSWERED
            self._report.commands[str(record.topic())] += 1

    def _note_event(self, record: Message) -> None:
        where = f"{record.topic()}/{record.partition()}/{record.offset()}"
        try:
            event = orjson.loads(record.value() or b"")
            topic, partition, offset, index = event["id"].split("/")
            data = event["data"]
            outcome = Outcome(event["type"], data.get("reason"), "duplicate" in data)
            cause = (topic, int(partition), int(offset))
        except (ValueError, KeyError, TypeError, AttributeError):
            self._report.blame(f"{where} is no event with the id of a command")
            return
        # A cancel's or refund's reason is the user's own words, and no refusal.
        outcome = outcome if outcome.type.endswith(".rejected") else outcome._replace(reason=None)
        if (_EVENT_TOPICS.get(topic), cause[1]) != _place(record):
            self._report.blame(f"{where} answers {event['id']}, whose answer belongs elsewhere")
        if index != "0":
            return  # it follows from an outcome, and is none
        self._report.outcomes[outcome] += 1
        self._answered(*cause, where)

    def _note_dead_letter(self, record: Message) -> None:
        where = f"{record.topic()}/{record.partition()}/{record.offset()}"
        headers = {name: value for name, value in dict(record.headers() or ()).items() if isinstance(value, bytes)}
        try:
            topic, partition, offset, reason = (
                headers[name].decode() for name in ("dlq_topic", "dlq_partition", "dlq_offset", "dlq_error")
            )
            cause = (topic, int(partition), int(offset))
        except (KeyError, ValueError):
            self._report.blame(f"{where} does not say which record it holds")
            return
        self._report.dead_letters[topic] += 1
        reasons = self._report.dead_letter_reasons
        reasons[reason if reason in reasons or len(reasons) < REASONS_MAX else "another reason"] += 1
        self._answered(*cause, where)

    def _answered(self, topic: str, partition: int, offset: int, where: str) -> None:
        cause = f"{topic}/{partition}/{offset}"
        marks = self._marks.get((topic, partition))
        index = -1 if marks is None else offset - marks.first_offset
        if marks is None or not 0 <= index < len(marks.states) or marks.states[index] == _NO_COMMAND:
            self._report.blame(f"{where} answers {cause}, which is no command")
        elif marks.states[index] == _UNANSWERED:
            marks.states[index] = _ANSWERED
        else:
            marks.states[index] = _REPEATED
            self._report.blame(f"{where} answers {cause} once more")

    def _blame_unanswered(self) -> None:
        for (topic, partition), marks in sorted(self._marks.items()):
            missing = marks.states.count(_UNANSWERED)
            if not missing:
                continue
            self._report.unanswered[topic] += missing
            first = marks.first_offset + marks.states.index(_UNANSWERED)
            self._report.blame(f"{topic}/{partition}: {missing} commands not answered, the first at offset {first}")


def _place(record: Message) -> Place:
    return str(record.topic()), int(record.partition() or 0)


def _offset(record: Message) -> int:
    return int(record.offset() or 0)

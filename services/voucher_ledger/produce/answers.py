"""The answers to what was just sent: one event a command, or a dead letter, which name the command's place."""

import time
from collections.abc import Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self

import orjson
from confluent_kafka import Consumer, Message, TopicPartition

from voucher_ledger.core.messages import EVENT_TOPIC_BY_COMMAND_TOPIC
from voucher_ledger.core.records import Place
from voucher_ledger.produce.clients import known_topics, open_client, settled
from voucher_ledger.runtime.errors import Unreachable, asking_kafka, is_passing
from voucher_ledger.runtime.incoming import readable_headers
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, consumer_config
from voucher_ledger.runtime.publisher import DEAD_LETTER_TOPIC
from voucher_ledger.runtime.settings import Settings

# Each command's place is kept until it is answered, and each answer is a line.
COMMANDS_AWAITED_MAX = 10_000
_EVENT_TOPICS: dict[str, str] = {str(commands): events for commands, events in EVENT_TOPIC_BY_COMMAND_TOPIC.items()}
_POLL_SECONDS = 0.2


class RecordPlace(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class Answer(NamedTuple):
    """What became of the command at `place`: an event's type (None: a dead letter), and of a refusal why."""

    place: RecordPlace
    type: str | None
    command_id: str | None
    reason: str | None
    detail: str | None
    duplicate: bool

    @property
    def refused(self) -> bool:
        """Whether the command changed nothing: rejected, or nobody could decide it."""
        return self.type is None or self.type.endswith(".rejected")

    def __str__(self) -> str:
        of = f" (id {self.command_id})" if self.command_id is not None else ""
        why = ": ".join(part for part in (self.reason, self.detail) if part is not None)
        again = ", a duplicate" if self.duplicate else ""
        return f"{self.place}{of}: {self.type or 'dead letter'}{again}{f': {why}' if why else ''}"


def answer_in(record: Message) -> Answer | None:
    """The answer that a record holds; None where it holds none (what follows from an outcome, say)."""
    if record.topic() == DEAD_LETTER_TOPIC:
        return _of_dead_letter(dict(readable_headers(record) or []))
    try:
        event = orjson.loads(record.value() or b"")
        topic, partition, offset, index = event["id"].split("/")
        place, data, type_ = RecordPlace(topic, int(partition), int(offset)), event["data"], event["type"]
        # Only an outcome of index 0 answers; a pause's own reason is the operator's words, and no refusal.
        why = data if type_.endswith(".rejected") else {}
        if index != "0":
            return None
        return Answer(
            place, type_, data.get("command_id"), why.get("reason"), why.get("detail"), bool(data.get("duplicate"))
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _of_dead_letter(headers: Mapping[str, Any]) -> Answer | None:
    try:
        topic, partition, offset, reason = (
            headers[name].decode() for name in ("dlq_topic", "dlq_partition", "dlq_offset", "dlq_error")
        )
        return Answer(RecordPlace(topic, int(partition), int(offset)), None, None, reason, None, False)
    except (AttributeError, KeyError, ValueError):  # not one of ours: no such header, or an empty one
        return None


class Answers:
    """Reads the answers from where the topics end when it is made: make it before the first command is sent.

    `delivered` takes the places of the commands, `await_all` reads. It joins no group, and reads what is committed
    only. As a context manager it leaves Kafka. Raises Unreachable where Kafka does not answer, NotSetUp where a topic
    is not there.
    """

    def __init__(self, settings: Settings) -> None:
        self._kafka = settings.kafka
        self.unanswered: dict[RecordPlace, None] = {}
        self._consumer = open_client(
            Consumer, consumer_config(settings, "voucher-ledger-produce", auto_offset_reset="earliest")
        )
        try:
            self._ends = self._read_ends()
        except BaseException:
            self._consumer.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def delivered(self, topic: str, partition: int, offset: int) -> None:
        """A command lies there now."""
        self.unanswered[RecordPlace(topic, partition, offset)] = None

    def await_all(self, seconds_max: float) -> Iterator[Answer]:
        """Yield each answer as it comes, until none is missing or `seconds_max` have passed; `unanswered` has the rest.

        Raises Unreachable where Kafka refuses to be read.
        """
        deadline = time.monotonic() + seconds_max
        # An event lies in the partition of its command; the dead letters of all rooms are few, and anywhere.
        wanted = {(_EVENT_TOPICS[place.topic], place.partition) for place in self.unanswered}
        starts = [
            TopicPartition(topic, partition, offset)
            for (topic, partition), offset in self._ends.items()
            if topic == DEAD_LETTER_TOPIC or (topic, partition) in wanted
        ]
        self._consumer.assign(starts)
        while self.unanswered and (left := deadline - time.monotonic()) > 0:
            for record in self._consumer.consume(1_000, min(left, _POLL_SECONDS)):
                error = record.error()
                if error is not None:
                    if not is_passing(error):
                        raise Unreachable(f"Kafka at {self._kafka}: {record.topic()}: {error.str()}")
                    continue
                answer = answer_in(record)
                if answer is not None and answer.place in self.unanswered:
                    del self.unanswered[answer.place]
                    yield answer

    def _read_ends(self) -> dict[Place, int]:
        topics = [*_EVENT_TOPICS.values(), DEAD_LETTER_TOPIC]
        known = known_topics(self._consumer, self._kafka, topics)
        with asking_kafka(self._kafka):
            return {
                (topic, number): settled(partial(self._end, topic, number))
                for topic in topics
                for number in known[topic].partitions
            }

    def _end(self, topic: str, number: int) -> int:
        found = self._consumer.get_watermark_offsets(TopicPartition(topic, number), REQUEST_SECONDS_MAX)
        if found is None:
            raise Unreachable(f"Kafka at {self._kafka} does not tell where {topic}/{number} ends")
        return found[1]

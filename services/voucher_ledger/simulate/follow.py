"""Reads what the processors answer, from this moment on."""

from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

import orjson
from confluent_kafka import Consumer, KafkaError, TopicPartition

from voucher_ledger.core.messages import EVENTS_BY_TOPIC
from voucher_ledger.produce.clients import known_topics, open_client, settled
from voucher_ledger.runtime.errors import asking_kafka, is_passing
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, consumer_config
from voucher_ledger.runtime.settings import Settings

EVENTS_READ_MAX = 5_000
# What a client mends by itself, given time: a broker that restarts, a leader that moves.


class AnswersLost(Exception):
    """The events can't be read on from where they were left."""


class Answers:
    """All event topics under read_committed, from their ends at the moment of `__enter__`; nothing is committed."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = settings.kafka
        self._consumer = open_client(Consumer, consumer_config(settings, "voucher-ledger-simulate"))

    def __enter__(self) -> Self:
        """Find the ends.

        Raises:
            Unreachable: no broker answers, or a topic can't be read.
            NotSetUp: an event topic does not exist.
        """
        with ExitStack() as unless_entered, asking_kafka(self._kafka):
            unless_entered.callback(self._consumer.close)
            topics = known_topics(self._consumer, self._kafka, [*EVENTS_BY_TOPIC])
            places = [TopicPartition(topic, number) for topic in EVENTS_BY_TOPIC for number in topics[topic].partitions]
            self._consumer.assign([settled(partial(self._end, place)) for place in places])
            unless_entered.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def _end(self, place: TopicPartition) -> TopicPartition:
        _, end_offset = self._consumer.get_watermark_offsets(place, timeout=REQUEST_SECONDS_MAX)
        return TopicPartition(place.topic, place.partition, end_offset)

    def read(self, wait_seconds: float) -> list[dict[str, Any]]:
        """Return the next events (CloudEvents envelopes), at most EVENTS_READ_MAX; after `wait_seconds` what there is.

        Raises:
            AnswersLost: an offset is gone, or a record is no event.
        """
        events: list[dict[str, Any]] = []
        for message in self._consumer.consume(EVENTS_READ_MAX, wait_seconds):
            error = message.error()
            if error is not None:
                if error.code() == KafkaError._PARTITION_EOF or is_passing(error):
                    continue
                raise AnswersLost(f"cannot read events from Kafka at {self._kafka}: {error.str()}")
            try:
                events.append(orjson.loads(message.value() or b""))
            except orjson.JSONDecodeError as broken:
                where = f"{message.topic()}/{message.partition()}/{message.offset()}"
                raise AnswersLost(f"the record at {where} is no event: {broken}") from broken
        return events

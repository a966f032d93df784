"""Sends commands as any producer outside would: idempotent, right key and partitioner, every delivery awaited."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from voucher_ledger.core.records import Place
from voucher_ledger.runtime.errors import SessionLost, Unreachable
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, admin_config, producer_config
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.topics import without_topics
from voucher_ledger.runtime.troubles import Troubles

PARTITION_UA = -1  # librdkafka: the partitioner chooses
DELIVERY_SECONDS_MAX = 10.0
TOPIC_SEEN_SECONDS_MAX = 5.0
_TOPIC_SEEN_WAIT_SECONDS = 0.1
_TIMESTAMP_TYPE = "message.timestamp.type"
_QUEUE_FULL_WAIT_SECONDS = 0.05


class OutgoingCommand(NamedTuple):
    """A command record. `time_ms` is its timestamp in milliseconds since 1970, which a topic with LogAppendTime
    replaces by its own. Without a `partition` the key tells it.
    """

    topic: str
    key: bytes
    value: bytes
    time_ms: int
    partition: int = PARTITION_UA


class CommandSender:
    """One idempotent producer; after a failure it is to be closed and another one made."""

    def __init__(self, settings: Settings, client: str) -> None:
        delivery_ms = round(DELIVERY_SECONDS_MAX * 1000)
        self._producer = Producer(
            producer_config(settings, client_id=f"voucher-ledger-{client}", delivery_timeout_ms=delivery_ms)
        )
        self._failures: list[KafkaError] = []
        self._last_offsets: dict[Place, int] = {}

    def send(self, commands: Sequence[OutgoingCommand]) -> dict[Place, int]:
        """Produce `commands` and wait until each is acknowledged; the last offset in each (topic, partition).

        Raises SessionLost where one was not: which of them arrived is then unknown.
        """
        deadline = time.monotonic() + 2 * DELIVERY_SECONDS_MAX
        self._last_offsets = {}
        for command in commands:
            self._produce(command, deadline)
        waiting = self._producer.flush(max(0.0, deadline - time.monotonic()))
        if self._failures or waiting:
            cause = self._failures[0].str() if self._failures else "no answer"
            count = len(self._failures) + waiting
            raise SessionLost(f"Kafka: {count} of {len(commands)} commands were not acknowledged: {cause}")
        return self._last_offsets

    def close(self) -> None:
        """Drop what was not sent; never waits."""
        self._producer.purge()
        self._producer.flush(0)

    def _produce(self, command: OutgoingCommand, deadline: float) -> None:
        while True:
            try:
                self._producer.produce(
                    command.topic,
                    command.value,
                    command.key,
                    partition=command.partition,
                    timestamp=command.time_ms,
                    on_delivery=self._delivered,
                )
                self._producer.poll(0)
                return
            except BufferError:
                if time.monotonic() > deadline:
                    raise SessionLost("Kafka: the producer's queue stayed full") from None
                self._producer.poll(_QUEUE_FULL_WAIT_SECONDS)
            except KafkaException as error:
                raise SessionLost(f"Kafka: {error.args[0].str()}") from error

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(error)
            return
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if topic is not None and partition is not None and offset is not None:
            self._last_offsets[topic, partition] = max(offset, self._last_offsets.get((topic, partition), -1))


def stamped_by_broker(settings: Settings, topics: Sequence[str]) -> dict[str, bool]:
    """For each topic, whether its records carry the broker's clock (LogAppendTime) instead of the producer's.

    A topic made a moment ago is waited for: a broker learns of it some time after the controller has made it.
    Raises Unreachable where Kafka does not answer, NotSetUp where it has no such topic after TOPIC_SEEN_SECONDS_MAX.
    """
    troubles = Troubles()
    admin = AdminClient(admin_config(settings, error_cb=troubles))
    deadline = time.monotonic() + TOPIC_SEEN_SECONDS_MAX
    while True:
        try:
            by_broker = _stamped_by_broker(admin, topics)
        except KafkaException as error:
            text = f"Kafka at {settings.kafka}: topics {', '.join(topics)}: {troubles.explain(admin, error)}"
            raise Unreachable(text) from error
        missing = [topic for topic in topics if topic not in by_broker]
        if not missing:
            return by_broker
        if time.monotonic() > deadline:
            raise without_topics(settings.kafka, missing)
        time.sleep(_TOPIC_SEEN_WAIT_SECONDS)


def _stamped_by_broker(admin: AdminClient, topics: Sequence[str]) -> dict[str, bool]:
    """The same for the topics that are there."""
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics]
    found: dict[str, bool] = {}
    for resource, future in admin.describe_configs(resources, request_timeout=REQUEST_SECONDS_MAX).items():
        try:
            found[resource.name] = future.result()[_TIMESTAMP_TYPE].value == "LogAppendTime"
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise
    return found

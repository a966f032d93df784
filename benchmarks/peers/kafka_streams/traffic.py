"""Topics, preloaded claims and their outcomes, for checking and measuring the peer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

PARTITION_COUNT = 8
ADMIN_TIMEOUT_SECONDS = 30.0
FLUSH_TIMEOUT_SECONDS = 120.0
POLL_TIMEOUT_SECONDS = 1.0
RECORDS_PER_POLL = 10_000


@dataclass(frozen=True, slots=True)
class Claim:
    """One `voucher.claim` as it is sent; its key is the user id."""

    command_id: str
    user_id: str
    campaign_id: str = "grey"
    city_tier: int = 3

    def to_bytes(self) -> bytes:
        """The CloudEvents record."""
        return orjson.dumps(
            {
                "specversion": "1.0",
                "id": self.command_id,
                "source": "bench",
                "type": "voucher.claim",
                "time": "2026-02-06T00:00:00Z",
                "data": {
                    "campaign_id": self.campaign_id,
                    "user_id": self.user_id,
                    "city_tier": self.city_tier,
                    "channel": "app",
                },
            }
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """An event of the output topic, with its Kafka key."""

    key: str
    event_id: str
    type: str
    data: dict[str, object]


def create_topics(bootstrap: str, names: Iterable[str]) -> None:
    """Create each topic with 8 partitions. Raises `KafkaException`, also when one exists."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    topics = [NewTopic(name, num_partitions=PARTITION_COUNT, replication_factor=1) for name in names]
    for future in admin.create_topics(topics, operation_timeout=ADMIN_TIMEOUT_SECONDS).values():
        future.result(ADMIN_TIMEOUT_SECONDS)


def delete_topics(bootstrap: str, prefixes: tuple[str, ...]) -> None:
    """Delete every topic whose name begins with one of the prefixes (internal ones included)."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    names = [name for name in admin.list_topics(timeout=ADMIN_TIMEOUT_SECONDS).topics if name.startswith(prefixes)]
    for future in (admin.delete_topics(names) if names else {}).values():
        future.result(ADMIN_TIMEOUT_SECONDS)


def preload(bootstrap: str, topic: str, claims: Iterable[Claim]) -> int:
    """Produce all claims and wait until the broker has them; the count. Raises `KafkaException` if one was refused."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 20,
            "batch.size": 262_144,
            "queue.buffering.max.messages": 200_000,
        }
    )
    refused: list[KafkaError] = []

    def note_refusal(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            refused.append(error)

    count = 0
    for claim in claims:
        while True:
            try:
                producer.produce(topic, key=claim.user_id, value=claim.to_bytes(), on_delivery=note_refusal)
                break
            except BufferError:
                producer.poll(POLL_TIMEOUT_SECONDS)
        count += 1
    undelivered = producer.flush(FLUSH_TIMEOUT_SECONDS)
    if refused:
        raise KafkaException(refused[0])
    if undelivered:
        raise TimeoutError(f"{undelivered} of {count} claims were not acknowledged in {FLUSH_TIMEOUT_SECONDS} s")
    return count


def outcomes(bootstrap: str, topic: str, timeout_seconds: float) -> Iterator[list[Message]]:
    """Yield the committed records of the topic from its beginning, as they become visible, for as long as asked.

    Raises `TimeoutError` when `timeout_seconds` pass without the caller having had enough.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{topic}.reader",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "queued.min.messages": 200_000,
            "fetch.wait.max.ms": 20,
        }
    )
    try:
        consumer.assign([TopicPartition(topic, index, OFFSET_BEGINNING) for index in range(PARTITION_COUNT)])
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            messages = consumer.consume(RECORDS_PER_POLL, POLL_TIMEOUT_SECONDS)
            for message in messages:
                error = message.error()
                if error is not None:
                    raise KafkaException(error)
            yield messages
    finally:
        consumer.close()
    raise TimeoutError(f"the outcomes expected on {topic} were not all there after {timeout_seconds} s")


def parse_outcome(message: Message) -> Outcome:
    """An event as the contract has it. Raises `ValueError` or `KeyError` when it is none."""
    key, value = message.key(), message.value()
    if key is None or value is None:
        raise ValueError(f"event {message.topic()}/{message.partition()}/{message.offset()} lacks its key or its value")
    event = orjson.loads(value)
    return Outcome(key.decode(), event["id"], event["type"], event["data"])

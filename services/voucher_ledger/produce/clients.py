"""Kafka clients of tools that people run: quiet, and clear about wrong settings."""

import time
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, TopicMetadata

from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX
from voucher_ledger.runtime.settings import KAFKA_PREFIX, SettingsError
from voucher_ledger.runtime.topics import without_topics
from voucher_ledger.runtime.troubles import Troubles

Client = TypeVar("Client")
Result = TypeVar("Result")

# Brokers learn of topics a moment after the controller has made them.
_NEW_TOPIC_SECONDS_MAX = 3.0
_LOOK_AGAIN_SECONDS = 0.1
# Of topics that are new, and of a broker that is just back.
_NOT_SETTLED = frozenset(
    [
        KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_LEADER_EPOCH, KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    ]
)  # fmt: skip


def open_client(make: Callable[[dict[str, Any]], Client], configuration: dict[str, Any]) -> Client:
    """Make a client of a configuration of runtime.kafka.

    Raises:
        SettingsError: a librdkafka property does not exist or has a wrong value.
    """
    try:
        return make(configuration)
    except KafkaException as error:
        reason = error.args[0].str()
        raise SettingsError(f"Kafka's client refuses a setting ({KAFKA_PREFIX}*): {reason}") from error


def known_topics(
    client: AdminClient | Consumer | Producer, kafka: str, wanted: Collection[str], troubles: Troubles | None = None
) -> dict[str, TopicMetadata]:
    """Return what Kafka (at `kafka`, for the errors' text) knows of its topics once all of `wanted` are there.

    `troubles` is the client's `error_cb`, which knows why no broker answers.

    Raises:
        Unreachable: no broker answers.
        NotSetUp: one of them does not exist.
    """
    deadline = time.monotonic() + _NEW_TOPIC_SECONDS_MAX
    while True:
        try:
            known: dict[str, TopicMetadata] = client.list_topics(timeout=REQUEST_SECONDS_MAX).topics
        except KafkaException as error:
            cause = (troubles or Troubles()).explain(client, error)
            raise Unreachable(f"Kafka at {kafka} does not answer: {cause}") from error
        missing = sorted(set(wanted) - set(known))
        if not missing:
            return known
        if time.monotonic() >= deadline:
            raise without_topics(kafka, missing, known)
        time.sleep(_LOOK_AGAIN_SECONDS)


def settled(action: Callable[[], Result]) -> Result:
    """Return what `action` returns, tried again while brokers settle who leads new partitions, or come back.

    Raises:
        KafkaException: what `action` raises in the end, or for another reason.
    """
    deadline = time.monotonic() + _NEW_TOPIC_SECONDS_MAX
    while True:
        try:
            return action()
        except KafkaException as error:
            if error.args[0].code() not in _NOT_SETTLED or time.monotonic() >= deadline:
                raise
        time.sleep(_LOOK_AGAIN_SECONDS)

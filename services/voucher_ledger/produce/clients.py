"""Kafka clients of tools that people run: quiet, and clear about wrong settings."""

from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import KafkaException

from voucher_ledger.runtime.settings import KAFKA_PREFIX, SettingsError

Client = TypeVar("Client")

# Critical conditions only: whatever else goes wrong is told once, by the tool itself.
_LOG_LEVEL = 2


def open_client(make: Callable[[dict[str, Any]], Client], configuration: dict[str, Any]) -> Client:
    """Make a client of a configuration of runtime.kafka.

    Raises:
        SettingsError: a librdkafka property does not exist or has a wrong value.
    """
    try:
        return make({**configuration, "log_level": _LOG_LEVEL})
    except KafkaException as error:
        reason = error.args[0].str()
        raise SettingsError(f"Kafka's client refuses a setting ({KAFKA_PREFIX}*): {reason}") from error

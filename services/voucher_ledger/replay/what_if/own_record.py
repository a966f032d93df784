"""A record that no topic carried: what the sweeper would have sent, as the deciders take it."""

from dataclasses import dataclass

from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError

from voucher_ledger.runtime.outbox import Header


@dataclass(slots=True)
class OwnRecord:
    """As a consumed record: `at` is its (partition, offset), `time_ms` its timestamp in milliseconds since 1970."""

    at: tuple[int, int]
    sent_key: bytes
    sent_value: bytes
    time_ms: int

    def error(self) -> KafkaError | None:
        """Nothing can have gone wrong."""
        return None

    def partition(self) -> int:
        """Its partition."""
        return self.at[0]

    def offset(self) -> int:
        """Its offset."""
        return self.at[1]

    def key(self) -> bytes:
        """Its key."""
        return self.sent_key

    def value(self) -> bytes:
        """Its value."""
        return self.sent_value

    def timestamp(self) -> tuple[int, int]:
        """The kind of its timestamp, and that."""
        return TIMESTAMP_CREATE_TIME, self.time_ms

    def headers(self) -> list[Header] | None:
        """It has none."""
        return None

    def set_headers(self, value: list[Header], /) -> None:
        """It can have none."""
        raise ValueError(f"a record made anew has no headers: {value}")

"""A dead letter as it lies on `ledger.dead-letters`, and what it says of itself."""

import base64
from dataclasses import dataclass

from confluent_kafka import Message

from voucher_ledger.runtime.incoming import readable_headers
from voucher_ledger.runtime.outbox import Header

UNREADABLE = "its headers can't be read: the name of one is not UTF-8"


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: its own place, and the record that it holds with key, bytes and headers untouched.

    `topic`, `cause_partition` and `cause_offset` say where the record lay, `error` why it could not be decided,
    `attempts` how often it has died. Where a letter's own headers do not tell, `topic` is empty.
    """

    partition: int
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    topic: str
    cause_partition: int
    cause_offset: int
    error: str
    attempts: int

    @property
    def place(self) -> tuple[int, int]:
        """Its partition and offset on `ledger.dead-letters`: what it is known by."""
        return self.partition, self.offset

    @property
    def name(self) -> str:
        """Its place as the command line takes it: `2/1200`."""
        return f"{self.partition}/{self.offset}"

    @property
    def cause(self) -> str:
        """Where the record lay: `claim.commands/3/1200`."""
        return f"{self.topic}/{self.cause_partition}/{self.cause_offset}" if self.topic else "unknown"


def letter(record: Message) -> Letter:
    """Read a record of `ledger.dead-letters`."""
    readable = readable_headers(record)
    headers = readable or []
    told = {name: value.decode("utf-8", "replace") for name, value in headers if isinstance(value, bytes)}
    partition, offset = _number(told.get("dlq_partition")), _number(told.get("dlq_offset"))
    known = partition is not None and offset is not None
    return Letter(
        partition=int(record.partition() or 0),
        offset=int(record.offset() or 0),
        time_ms=int(record.timestamp()[1]),
        key=record.key(),
        value=record.value(),
        headers=tuple(headers),
        topic=told.get("dlq_topic", "") if known else "",
        cause_partition=-1 if partition is None else partition,
        cause_offset=-1 if offset is None else offset,
        error=UNREADABLE if readable is None else told.get("dlq_error", ""),
        attempts=_number(told.get("dlq_attempts")) or 1,
    )


def text_of(held: bytes | None) -> tuple[str | None, str]:
    """Bytes for people and JSON: as text where they are UTF-8, else in base64; and which of the two it is."""
    if held is None:
        return None, "none"
    try:
        return held.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(held).decode("ascii"), "base64"


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 19 else None

"""From a consumed record to a command that may be decided, or to a dead letter."""

from operator import methodcaller
from typing import Protocol

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaError, Message

from voucher_ledger.core.records import Command, Undecidable
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.runtime.outbox import DeadLetter, Header

# 9000-01-01T00:00:00Z: every time derived from a record (it plus a year at most) can still be written in RFC 3339.
RECORD_TIME_MS_MAX = 221_845_392_000_000

# What a dead letter may repeat of its record. ledger.dead-letters takes batches of 16,777,216 bytes: the others
# are for the headers that say where the letter comes from and why, and for Kafka's framing. A broker bounds a batch as
# its producer compressed it, and what zstd found alike across megabytes our codec may not: it must fit uncompressed.
REPEATED_BYTES_MAX = 16_000_000
# The most that Kafka's framing takes of a header: the lengths of its name and its value.
_HEADER_FRAME_BYTES_MAX = 10
# How a dead letter's reason begins to tell what of its record is not in it.
_NOT_REPEATED = "; not repeated here: "
_VALUE, _KEY, _HEADERS = "its value", "its key", "its headers"

# Stands for headers that the Python client can't read.
_UNREADABLE: Header = ("\0", None)
# The client answers a list and leaves an exception set. Called as `record.headers()`, Python looks for that only until
# it has specialised the call, after a few of them: it is raised later then, anywhere. A methodcaller always looks.
_headers_of = methodcaller("headers")


class Record(Protocol):
    """A confluent_kafka.Message that was consumed: its place and headers are there."""

    def error(self) -> KafkaError | None:
        """What went wrong instead of a record."""

    def partition(self) -> int:
        """Its partition."""

    def offset(self) -> int:
        """Its offset."""

    def key(self) -> bytes | None:
        """Its key."""

    def value(self) -> bytes | None:
        """Its value."""

    def timestamp(self) -> tuple[int, int]:
        """The kind of its timestamp, and that in milliseconds since 1970."""

    def headers(self) -> list[Header] | None:
        """Its headers."""

    def set_headers(self, value: list[Header], /) -> None:
        """Put others in their place."""


def incoming(record: Record, partition: int, offset: int, decoder: CommandDecoder) -> Command | DeadLetter:
    """Decode the record at `partition` and `offset`; what can't be decided becomes a dead letter with the reason."""
    try:
        kind, time_ms = record.timestamp()
        if kind == TIMESTAMP_NOT_AVAILABLE or not 0 <= time_ms <= RECORD_TIME_MS_MAX:
            raise Undecidable(f"the record's timestamp {time_ms} ms is not between the years 1970 and 9000")
        command = decoder.decode(record.value(), record.key())
    except Undecidable as refusal:
        return dead_letter(record, str(refusal))
    command.partition, command.offset, command.time_ms, command.record = partition, offset, time_ms, record
    return command


def dead_letter(record: Record, error: str) -> DeadLetter:
    """The record as it came, with why it can't be decided.

    Of one that would not fit, the largest part is left out, mostly its value: the record itself stays where it is.
    """
    headers = readable_headers(record)
    if headers is None:
        error += "; its headers are left out: the name of one is not UTF-8"
    key, value = record.key(), record.value()
    sizes = {
        _VALUE: len(value or b""),
        _KEY: len(key or b""),
        _HEADERS: sum(_HEADER_FRAME_BYTES_MAX + len(name.encode()) + len(held or b"") for name, held in headers or []),
    }
    dropped: list[str] = []
    while sum(sizes.values()) > REPEATED_BYTES_MAX:
        largest = max(sizes, key=lambda part: sizes[part])
        dropped.append(f"{largest} ({sizes.pop(largest):,} bytes)")
    if dropped:
        error += (
            f"{_NOT_REPEATED}{', '.join(dropped)}, since a dead letter takes {REPEATED_BYTES_MAX:,} of its record; "
            "the record is where dlq_topic, dlq_partition and dlq_offset say"
        )
    return DeadLetter(
        record.partition(), record.offset(), key if _KEY in sizes else None, value if _VALUE in sizes else None,
        headers or [] if _HEADERS in sizes else [], error,
    )  # fmt: skip


def unread(error: str) -> str:
    """The reason of a dead letter whose record could not be read at all: nothing of it is repeated."""
    return f"{error}{_NOT_REPEATED}{_VALUE} (unread), {_KEY} (unread), {_HEADERS} (unread)"


def not_repeated(error: str) -> str:
    """What a dead letter's reason says of the parts of its record that were too large to be in it; empty where all are.

    The name of a part that a record never had can't stand there, so a value that is null is told from one left out.
    """
    return error.rpartition(_NOT_REPEATED)[2] if _NOT_REPEATED in error else ""


def lacks_record(error: str) -> bool:
    """Whether a dead letter of this reason lacks its record's value or key, without which it can't be sent again."""
    told = not_repeated(error)
    return f"{_VALUE} (" in told or f"{_KEY} (" in told


def readable_headers(record: Record | Message) -> list[Header] | None:
    """The headers of a record that was consumed (none: an empty list); None where they can't be read.

    Kafka takes any bytes for a header's name; the Python client takes UTF-8 only, fails once with SystemError, and from
    then on answers a list with a hole in it that must not be touched: so it is replaced.
    """
    try:
        headers: list[Header] = list(_headers_of(record) or [])
    except (SystemError, UnicodeDecodeError):
        record.set_headers([_UNREADABLE])
        return None
    return None if headers == [_UNREADABLE] else headers

"""Newline-delimited JSON: each line one command, checked against its schema before it is sent. No Kafka here."""

from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import orjson

from voucher_ledger.core.clock import milliseconds
from voucher_ledger.core.messages import COMMANDS_BY_TOPIC, KEY_FIELD_BY_COMMAND_TOPIC
from voucher_ledger.core.validation import COMMAND_BYTES_MAX, CommandDecoder, Undecidable
from voucher_ledger.produce.records import TimedCommand

_TOPIC_BY_TYPE: dict[str, str] = {type_: topic for topic, types in COMMANDS_BY_TOPIC.items() for type_ in types}
_KEY_FIELD_BY_TOPIC: dict[str, str] = {str(topic): name for topic, name in KEY_FIELD_BY_COMMAND_TOPIC.items()}
# The line's end may be CR LF.
_READ_BYTES_MAX = COMMAND_BYTES_MAX + 2


class BadLine(NamedTuple):
    """A line that is no command: its number, counted from 1, and why."""

    number: int
    reason: str


class LineChecker:
    """Turns lines into records with the right topic and key.

    `topic` takes commands of that topic only; None finds the topic by the command's type.
    Raises ValueError where `topic` is no command topic.
    """

    def __init__(self, topic: str | None = None) -> None:
        if topic is not None and topic not in COMMANDS_BY_TOPIC:
            raise ValueError(f"{topic!r} is no command topic; there are {', '.join(COMMANDS_BY_TOPIC)}")
        topics = list(COMMANDS_BY_TOPIC) if topic is None else [topic]
        self._topic = topic
        self._decoders = {name: CommandDecoder(name) for name in topics}

    def check(self, line: bytes) -> TimedCommand:
        """Return the line as a record; its `time_ms` is the command's `time`.

        Raises:
            Undecidable: a processor would send this command to the dead letters; the text says why.
        """
        try:
            envelope: Any = orjson.loads(line)
        except orjson.JSONDecodeError:
            envelope = None
        type_ = envelope.get("type") if isinstance(envelope, dict) else None
        topic = self._topic or (_TOPIC_BY_TYPE.get(type_) if isinstance(type_, str) else None)
        if topic is None:
            raise Undecidable(self._no_topic(line, envelope, type_))
        key = _owner(envelope, _KEY_FIELD_BY_TOPIC[topic])
        self._decoders[topic].decode(line, key)
        return TimedCommand(milliseconds(envelope["time"]), topic, key, line)

    def _no_topic(self, line: bytes, envelope: object, type_: object) -> str:
        if isinstance(envelope, dict):
            found = "no type" if type_ is None else f"unknown type {str(type_)[:100]!r}"
            return f"{found}; there are {', '.join(_TOPIC_BY_TYPE)}"
        # Not JSON, or no object: every decoder gives the same reason.
        try:
            next(iter(self._decoders.values())).decode(line, None)
        except Undecidable as error:
            return str(error)
        raise AssertionError("a decoder took a command without a type")


def _owner(envelope: object, key_field: str) -> bytes | None:
    data = envelope.get("data") if isinstance(envelope, dict) else None
    owner = data.get(key_field) if isinstance(data, dict) else None
    return owner.encode() if isinstance(owner, str) else None


def read(stream: BinaryIO, checker: LineChecker) -> Iterator[TimedCommand | BadLine]:
    """Yield each line as a record or as what is wrong with it; blank lines are passed over.

    A line is never held in memory beyond the largest command there can be.
    """
    number = 0
    while chunk := stream.readline(_READ_BYTES_MAX):
        number += 1
        if len(chunk) == _READ_BYTES_MAX and not chunk.endswith(b"\n"):
            rest = 1
            while rest and not chunk.endswith(b"\n"):
                chunk = stream.readline(_READ_BYTES_MAX)
                rest = len(chunk)
            yield BadLine(number, f"more than {COMMAND_BYTES_MAX:,} bytes; a command has at most so many")
            continue
        line = chunk.strip()
        if not line:
            continue
        try:
            yield checker.check(line)
        except Undecidable as error:
            yield BadLine(number, str(error))

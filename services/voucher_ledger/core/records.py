"""What goes in and out of a decision: a command that passed its schema, and the events that answer it."""

from dataclasses import dataclass
from typing import Any

# A topic and the number of one of its partitions.
Place = tuple[str, int]


@dataclass(slots=True)
class Command:
    """A command that may be decided: its `type`, its own `id`, and `data` as it was sent.

    `offset` is the record's place in its `partition` and `time_ms` its Kafka timestamp (milliseconds since 1970): the
    only clock that a decision knows. `record` is the consumed record itself, for the runtime's dead letters. What was
    only decoded has no place yet.
    """

    type: str
    id: str
    data: dict[str, Any]
    partition: int = -1
    offset: int = -1
    time_ms: int = 0
    record: Any = None


@dataclass(slots=True)
class Event:
    """An answer: `data` holds the event's own fields; the envelope is added when it is encoded."""

    type: str
    data: dict[str, Any]


class Undecidable(Exception):
    """The record can't be decided at all and goes to the dead letters; the text is for a person."""


def rejected(type_: str, command: Command, reason: str, data: dict[str, Any]) -> Event:
    """The refusal of a command: `data` repeats its business keys."""
    return Event(type_, {**data, "command_id": command.id, "reason": reason})

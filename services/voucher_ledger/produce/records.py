"""A record on its way to Kafka."""

from typing import NamedTuple


class TimedCommand(NamedTuple):
    """A record to send: `time_ms` (milliseconds since 1970) is used as its timestamp only where the sender is told to.

    Key and value may be None, since a simulation sends rubbish too.
    """

    time_ms: int
    topic: str
    key: bytes | None
    value: bytes | None

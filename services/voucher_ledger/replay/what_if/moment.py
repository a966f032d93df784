"""`--from` and `--to` of a what-if: a time, or the record or event at whose time it is.

An offset alone means another moment in each partition of four topics, so it is no bound of a day.
"""

import re
from threading import Event
from typing import NamedTuple

from voucher_ledger.core.clock import milliseconds, rfc3339
from voucher_ledger.core.messages import COMMANDS_BY_TOPIC
from voucher_ledger.replay.bounds import UNBOUNDED, Bound
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.topic_reader import TopicReader, offset_of, time_ms_of
from voucher_ledger.runtime.settings import Settings

_PLACE = re.compile(rf"({'|'.join(map(re.escape, COMMANDS_BY_TOPIC))})/(\d{{1,9}})/(\d{{1,18}})(?:/\d{{1,9}})?")


class Moment(NamedTuple):
    """A time in ms since 1970, or the place (topic, partition, offset) of a command."""

    time_ms: int | None = None
    place: tuple[str, int, int] | None = None


def moment(text: str) -> Moment:
    """`2026-02-06T00:00:00Z`, or `claim.commands/3/1200` (an event's id, such as claim.commands/3/1200/0, will do).

    Raises:
        ValueError: it is neither.
    """
    found = _PLACE.fullmatch(text)
    if found is not None:
        return Moment(place=(found[1], int(found[2]), int(found[3])))
    try:
        return Moment(time_ms=milliseconds(text))
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a time such as 2026-02-06T00:00:00Z nor a command's place such as "
            "claim.commands/3/1200"
        ) from None


def bound_at(settings: Settings, asked: Moment | None) -> Bound:
    """The bound that a moment is. Raises Refused where no record is at its place, Unread, Unreachable."""
    if asked is None:
        return UNBOUNDED
    if asked.place is None:
        return Bound(time_ms=asked.time_ms)
    topic, partition, offset = asked.place
    reader = TopicReader(settings, Event())
    try:
        held = reader.ranges([topic]).get((topic, partition))
        record = reader.record_from((topic, partition), offset) if held and held.low <= offset < held.high else None
    finally:
        reader.close()
    if record is None or offset_of(record) != offset:
        raise Refused(f"{topic}/{partition}/{offset}: no record is there, so no time is known by it")
    return Bound(time_ms=time_ms_of(record))


def shown(bound: Bound) -> str | None:
    """The bound as a time; None where there is none."""
    return None if bound.time_ms is None else rfc3339(bound.time_ms)

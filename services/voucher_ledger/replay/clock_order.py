"""The order of events of several partitions, whose clocks may lag or go back. No IO."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from voucher_ledger.core.records import Place
from voucher_ledger.replay.answers import Cause

_Thing = TypeVar("_Thing")


def in_clock_order(things: Iterable[_Thing], stand: Callable[[_Thing], tuple[Place, int, Any]]) -> list[_Thing]:
    """Things of several partitions in the order of their times, but those of a partition in its own: a clock that goes
    back there says nothing. `stand` tells a thing's partition, offset and time.
    """
    latest: dict[Place, Any] = {}
    keyed: list[tuple[Any, Place, int, _Thing]] = []
    stands = sorted(((*stand(thing), thing) for thing in things), key=lambda found: found[:2])
    for partition, offset, time, thing in stands:
        latest[partition] = max(time, latest.get(partition, time))
        keyed.append((latest[partition], partition, offset, thing))
    return [thing for *_, thing in sorted(keyed, key=lambda found: found[:3])]


def stand_of(event: dict[str, Any]) -> tuple[Place, int, str]:
    """Where an event's command lies, and its time: see in_clock_order."""
    cause = cause_of(event)
    return (cause.topic, cause.partition), cause.offset, event["time"]


def cause_of(event: dict[str, Any]) -> Cause:
    """The command that an event answers."""
    topic, partition, offset, _ = event["id"].split("/")
    return Cause(topic, int(partition), int(offset))

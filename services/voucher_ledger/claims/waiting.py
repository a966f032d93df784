"""What those who wait are answered. Pure."""

from typing import Any

from voucher_ledger.claims.state import Queue
from voucher_ledger.core.records import Command, Event, rejected
from voucher_ledger.ledger.model import Voucher, WaitingPlace


def same_content(data: dict[str, Any], accepted: Voucher | WaitingPlace) -> bool:
    """Whether a claim says the same of itself as the one of its id that was accepted before."""
    content = (data.get("city_tier"), data.get("channel"), data.get("device_id"))
    return content == (accepted.city_tier, accepted.channel, accepted.device_id)


def position(queue: Queue, place: WaitingPlace) -> int:
    """The place in the line of its partition, counted from 1."""
    return place.ticket - queue.lines[place.partition].head + 1


def queued(queue: Queue, command: Command) -> Event:
    """The answer to a claim that goes to the end of its partition's line."""
    line = queue.lines.get(command.partition)
    waiting = 0 if line is None else line.next_ticket - line.head
    return Event("voucher.queued", {**command.data, "command_id": command.id, "queue_position": waiting + 1})


def waits_by(queue: Queue, command: Command) -> bool:
    """Whether the user waits by this very claim."""
    place = queue.places.get(command.data["user_id"])
    return place is not None and place.command_id == command.id


def waits_already(queue: Queue, command: Command) -> Event:
    """The answer to the claim by which a user waits, when it is sent again: where he stands now."""
    data = command.data
    place = queue.places[data["user_id"]]
    if not same_content(data, place):
        return rejected("voucher.rejected", command, "conflict", data)
    standing = position(queue, place)
    return Event("voucher.queued", {**data, "command_id": command.id, "queue_position": standing, "duplicate": True})


def behind(queue: Queue, command: Command) -> Event | None:
    """The answer to a claim where others wait: its user goes behind them, or is refused a second place. None: nobody
    waits.
    """
    place = queue.places.get(command.data["user_id"])
    if place is not None:
        detail = f"waits already, at position {position(queue, place)}, by the claim {place.command_id}"
        return rejected("voucher.rejected", command, "user_limit", {**command.data, "detail": detail})
    return queued(queue, command) if queue.waiting > 0 else None

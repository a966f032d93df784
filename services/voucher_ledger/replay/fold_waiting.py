"""What events say of the waiting room: who got which ticket of a line, and who left it, with a voucher or without.

Tickets are given out in the order of a partition's commands, so whoever reads its events numbers them (`ticket`, beside
`data`). A line lets its users go in that order too: how many have gone, and how many of them with a voucher, is a sum.
No IO.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from voucher_ledger.core.clock import milliseconds
from voucher_ledger.ledger.model import Line, WaitingPlace

EventData = dict[str, Any]
Claim = tuple[str, str, str, int]
"""(campaign_id, user_id, the claim's command id, partition)."""

# Refusals after which nobody waits any more, where they answer the claim by which a user waits.
ENDS_WAITING = frozenset(["ended", "user_limit"])


@dataclass(slots=True)
class FoldedPlace(WaitingPlace):
    """A place as its row is compared: `place_key` is its key as one text, `offset` that of the claim."""

    offset: int = 0

    @property
    def place_key(self) -> str:
        """Campaign, partition and ticket."""
        return f"{self.campaign_id}/{self.partition}/{self.ticket}"


@dataclass(slots=True)
class FoldedWaiting:
    """The places of some users by key, and after which offsets their claims were answered for good."""

    places: dict[str, FoldedPlace] = field(default_factory=dict)
    answered: dict[Claim, list[tuple[int, bool]]] = field(default_factory=dict)

    def queued(self, event: EventData) -> None:
        """Take a `voucher.queued` that is no duplicate."""
        data = event["data"]
        _, partition, offset, _ = event["id"].split("/")
        place = FoldedPlace(
            data["campaign_id"],
            int(partition),
            event["ticket"],
            data["user_id"],
            0,
            data["command_id"],
            data.get("city_tier"),
            data.get("channel"),
            milliseconds(event["time"]),
            data.get("device_id"),
            int(offset),
        )
        self.places[place.place_key] = place

    def left(self, event: EventData, *, admitted: bool) -> None:
        """Take a grant, or a refusal of ENDS_WAITING: the end of waiting, if its user waits by that claim."""
        data = event["data"]
        _, partition, offset, _ = event["id"].split("/")
        claim = (data["campaign_id"], data["user_id"], data["command_id"], int(partition))
        self.answered.setdefault(claim, []).append((int(offset), admitted))

    def lines(self) -> Iterable[Line]:
        """What these places add to the lines: tickets given out, served, and served with a voucher."""
        for place in self.places.values():
            claim = (place.campaign_id, place.user_id, place.command_id, place.partition)
            after = [answer for answer in self.answered.get(claim, ()) if answer[0] > place.offset]
            admitted = bool(after) and min(after)[1]
            yield Line(place.campaign_id, place.partition, int(bool(after)), 1, int(admitted))

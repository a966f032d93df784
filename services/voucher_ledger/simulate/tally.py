"""What was sent and what was answered."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from voucher_ledger.simulate.waiting import WaitingRoom

# By how much an answer changes the vouchers that wait to be used, and those held by an order.
_OPEN_CHANGE = {
    "voucher.granted": (1, 0),
    "voucher.expired": (-1, 0),
    "order.reserved": (-1, 1),
    "order.cancelled": (1, -1),
    "order.expired": (1, -1),
    "payment.settled": (0, -1),
}


@dataclass(slots=True)
class Tally:
    """The state of a play.

    `sent` counts commands by topic, rubbish left out; `answers` counts first outcomes by type, `duplicates` repeated
    ones, `refusals` those by (type, reason). The sweeper's commands on the campaign are in these too, but `answered`
    counts this play's own, to set against what was sent. Of the campaign itself, `granted` vouchers were ever granted,
    of which `open_vouchers` may be used and `held_vouchers` are in an order. In a campaign with a waiting room,
    `waiting_room` tells who waits; admissions from it answer a claim once more, and are not in `answered`.
    """

    prefix: str
    campaign_id: str
    sent: Counter[str] = field(default_factory=Counter)
    rubbish: int = 0
    answered: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    duplicates: Counter[str] = field(default_factory=Counter)
    refusals: Counter[tuple[str, str]] = field(default_factory=Counter)
    granted: int = 0
    open_vouchers: int = 0
    held_vouchers: int = 0
    undelivered: int = 0
    opened: bool = False
    opening_refused: str | None = None
    elapsed_seconds: float = 0.0
    phase: str = "opening"
    waiting_room: WaitingRoom | None = None

    @property
    def commands(self) -> int:
        """How many commands were sent, all topics together."""
        return self.sent.total()

    @property
    def unanswered(self) -> int:
        """How many commands of this play have not been answered yet."""
        return self.commands - self.answered

    @property
    def waiting(self) -> int:
        """How many claimants wait for their turn."""
        return 0 if self.waiting_room is None else self.waiting_room.waiting

    def count_delivery(self, topic: str, partition: int, offset: int) -> None:
        """A record of this play is at this place: what a campaign with a waiting room needs to know of its claims."""
        if self.waiting_room is not None and topic == "claim.commands":
            self.answered += self.waiting_room.delivered(f"{topic}/{partition}/{offset}/0")

    def count_answer(self, event: dict[str, Any]) -> None:
        """Add an event (a CloudEvents envelope); what follows from an outcome (index above 0) is no answer."""
        if not event["id"].endswith("/0"):
            return
        type_, data = event["type"], event["data"]
        own = data["command_id"].startswith(self.prefix)
        if own:
            self.answered += self._answers_own(event)
        elif not data["command_id"].startswith("expire-") or data.get("campaign_id") != self.campaign_id:
            return
        if "duplicate" in data:
            self.duplicates[type_] += 1
        elif type_.endswith(".rejected"):
            self.refusals[type_, data["reason"]] += 1
        else:
            self.answers[type_] += 1
            if data.get("campaign_id") == self.campaign_id:
                self._move(type_, data)
        if own and data["command_id"] == f"{self.prefix}open" and not self.opened:
            self._judge_opening(type_, data)

    def _answers_own(self, event: dict[str, Any]) -> int:
        if self.waiting_room is not None and event["id"].startswith("claim.commands/"):
            return self.waiting_room.answered(event)
        return 1

    def _move(self, type_: str, data: dict[str, Any]) -> None:
        if type_ == "voucher.granted":
            self.granted += 1
        opened, held = _OPEN_CHANGE.get(type_, (0, 0))
        self.open_vouchers += opened + (1 if data.get("voucher_restored") else 0)
        self.held_vouchers += held

    def _judge_opening(self, type_: str, data: dict[str, Any]) -> None:
        if type_ == "campaign.opened" and "duplicate" not in data:
            self.opened = True
        elif self.opening_refused is None:
            self.opening_refused = (
                data.get("detail") or data.get("reason") or "it was opened before by the same command"
            )

"""Who waits in a campaign's waiting room, and which answers are to claims and which to admissions."""

from collections import Counter
from typing import Any

from voucher_ledger.core.clock import milliseconds

# What ends a user's waiting without a voucher.
_LEFT_WITHOUT = frozenset(["ended", "user_limit"])


class WaitingRoom:
    """The waiting room of one play's campaign, as a reader of its events sees it.

    The outcome of an admission carries the id of the claim by which its user waits, so the id alone does not tell it
    from an answer to that claim sent again. Its place does: none of this play's own commands is there. Places are the
    ids of their outcomes, and come from deliveries and from answers in any order.
    """

    def __init__(self) -> None:
        self.admitted = 0
        self.left_without = 0
        self.line_max = 0
        self.wait_ms_max = 0
        self._queued: set[str] = set()
        self._since_ms: dict[str, int] = {}
        self._delivered: set[str] = set()
        # By place, the claim that is answered; None where the answer is nobody's last.
        self._of_others: dict[str, str | None] = {}

    @property
    def queued(self) -> int:
        """How many claims were answered that their user waits."""
        return len(self._queued)

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._since_ms)

    @property
    def answered_once_more(self) -> int:
        """How many of those who waited got exactly one other answer, by an admission. Known once all is answered."""
        final = Counter(claim_id for claim_id in self._of_others.values() if claim_id is not None)
        return sum(final[claim_id] == 1 for claim_id in self._queued)

    def delivered(self, place: str) -> int:
        """A command of this play is at `place`; 1 where its answer was known already, else 0."""
        if place in self._of_others:
            del self._of_others[place]
            return 1
        self._delivered.add(place)
        return 0

    def answered(self, event: dict[str, Any]) -> int:
        """An outcome with one of this play's command ids; 1 where it is known to be an own command's answer, else 0."""
        place, data = event["id"], event["data"]
        last = _is_last(event)
        if "duplicate" not in data:
            self._move(event["type"], data, milliseconds(event["time"]), last=last)
        if place in self._delivered:
            self._delivered.remove(place)
            return 1
        self._of_others[place] = data["command_id"] if last else None
        return 0

    def _move(self, type_: str, data: dict[str, Any], time_ms: int, *, last: bool) -> None:
        claim_id = data["command_id"]
        if type_ == "voucher.queued":
            self._queued.add(claim_id)
            self._since_ms[claim_id] = time_ms
            self.line_max = max(self.line_max, data["queue_position"])
        elif last and claim_id in self._since_ms:
            self.wait_ms_max = max(self.wait_ms_max, time_ms - self._since_ms.pop(claim_id))
            self.admitted += type_ == "voucher.granted"
            self.left_without += type_ != "voucher.granted"


def _is_last(event: dict[str, Any]) -> bool:
    """Whether it is an outcome after which nobody waits by its claim, told for the first time."""
    granted = event["type"] == "voucher.granted"
    return "duplicate" not in event["data"] and (granted or event["data"].get("reason") in _LEFT_WITHOUT)

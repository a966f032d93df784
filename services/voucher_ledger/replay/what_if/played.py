"""Which recorded commands are played, and which recorded answers are theirs: two bytes a claim and one any other."""

import re
from array import array
from collections.abc import Collection, Iterable
from typing import Any, Final

from voucher_ledger.core.records import Command
from voucher_ledger.replay.reading import Span
from voucher_ledger.replay.what_if.id_set import IdSet

CLAIM_TOPIC: Final = "claim.commands"
CAMPAIGNS_MAX: Final = 65_000
# Sent by the sweeper when their time had come. Under other rules other vouchers come due: they are made anew.
TIME_DRIVEN: Final = frozenset(["voucher.expire", "voucher.admit", "order.expire"])
_VOUCHER = re.compile(r"v(\d{1,9})-(\d{1,18})")


class ClaimPlaces:
    """Of which campaign the claim or admission at each place of claim.commands is: vouchers are named by that place."""

    def __init__(self, parts: Iterable[Span], campaign_ids: Collection[str]) -> None:
        if len(campaign_ids) > CAMPAIGNS_MAX:
            raise ValueError(f"{len(campaign_ids)} campaigns, at most {CAMPAIGNS_MAX:,} can be told apart")
        self._ids = ["", *sorted(campaign_ids)]
        self._numbers = {campaign_id: number for number, campaign_id in enumerate(self._ids)}
        self._held = {
            part.partition: (part.start, array("H", bytes(2 * (part.end - part.start))))
            for part in parts
            if part.topic == CLAIM_TOPIC
        }

    def add(self, command: Command) -> None:
        """Note of which campaign a claim or an admission is."""
        start, numbers = self._held[command.partition]
        numbers[command.offset - start] = self._numbers.get(command.data["campaign_id"], 0)

    def campaign_of(self, voucher_id: str) -> str | None:
        """The campaign of the claim that a voucher is named by; None where no claim that was read is at its place."""
        place = _VOUCHER.fullmatch(voucher_id)
        start, numbers = self._held.get(int(place[1]), (0, None)) if place else (0, None)
        if place is None or numbers is None or not 0 <= int(place[2]) - start < len(numbers):
            return None
        return self._ids[numbers[int(place[2]) - start]] or None


class Belonging:
    """Tells which commands are to be played.

    Without `chosen` campaigns and with `whole` topics all are. Else a claim belongs by its campaign, an order by its
    voucher's claim (which must have been read), and what comes after by its order. Each command is asked about once, in
    the order of the records. `left_out` counts orders and payments that do not belong. To be closed at the end.
    """

    def __init__(self, claim_places: ClaimPlaces, chosen: frozenset[str], *, whole: bool) -> None:
        self._claim_places = claim_places
        self._chosen = chosen
        self._bounded = bool(chosen) or not whole
        self._order_ids = IdSet()
        self.left_out = 0

    def close(self) -> None:
        """Forget the orders that belong."""
        self._order_ids.close()

    def has(self, command: Command) -> bool:
        """Whether the command is to be played."""
        data = command.data
        campaign_id = data.get("campaign_id")
        if campaign_id is not None:
            if command.type in ("voucher.claim", "voucher.admit"):
                self._claim_places.add(command)
            return not self._chosen or campaign_id in self._chosen
        if not self._bounded:
            return True
        if command.type == "order.reserve":
            if any(self._is_ours(voucher_id) for voucher_id in voucher_ids(data)):
                self._order_ids.add(data["order_id"])
                return True
        elif data["order_id"] in self._order_ids:
            return True
        self.left_out += 1
        return False

    def _is_ours(self, voucher_id: str) -> bool:
        campaign_id = self._claim_places.campaign_of(voucher_id)
        return campaign_id is not None and (not self._chosen or campaign_id in self._chosen)


class Played:
    """The places of the commands that are played, and of the recorded time-driven ones in whose place others are."""

    def __init__(self, parts: Iterable[Span]) -> None:
        self._held = {
            (part.topic, part.partition): (part.start, bytearray(part.end - part.start)) for part in parts
        }  # fmt: skip
        self.count = 0

    def add(self, topic: str, command: Command) -> None:
        """Note a command."""
        start, flags = self._held[topic, command.partition]
        flags[command.offset - start] = 1
        self.count += 1

    def has(self, topic: str, partition: int, offset: int) -> bool:
        """Whether the command there is one of them."""
        start, flags = self._held.get((topic, partition), (0, b""))
        return 0 <= offset - start < len(flags) and bool(flags[offset - start])


def voucher_ids(data: dict[str, Any]) -> list[str]:
    """The vouchers that a reservation names, in its order."""
    return [data["voucher_id"], *data.get("more_voucher_ids", ())]

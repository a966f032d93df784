"""Whose turn it is in the waiting rooms. Pure: lines, supply and what was sent before in, admissions out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.ledger.model import Campaign
from voucher_ledger.ledger.release import next_release_ms, unreleased
from voucher_ledger.sweeper.plan import SOURCE


@dataclass(frozen=True, slots=True)
class WaitingLine:
    """A line in which somebody waits: the tickets from `head` to below `next_ticket`; all commands of its partition
    before `next_offset` are decided. `vouchers` and `amount_minor` are what pool and leases of its campaign hold.
    """

    campaign_id: str
    partition: int
    head: int
    next_ticket: int
    next_offset: int
    vouchers: int
    amount_minor: int


class Waiting(NamedTuple):
    """Who waits with a ticket, by the claim `claim_id`."""

    ticket: int
    user_id: str
    claim_id: str


class Turn(NamedTuple):
    """Whom to admit next: so many `places` of a line, from `ticket` on."""

    line: WaitingLine
    ticket: int
    places: int


@dataclass(slots=True)
class _Sent:
    """Admissions that were sent to a line: up to below `until_ticket`, the last of them at `last_offset`; `seen_offset`
    is how far the line's partition was decided when it last moved, at `moved_ms`.
    """

    head: int
    until_ticket: int
    last_offset: int
    seen_offset: int
    moved_ms: int


LineKey = tuple[str, int]
"""(campaign_id, partition)."""


class Underway:
    """The admissions that were sent and are not decided yet, and the lines that rest.

    A line that did not move although all that was sent to it is decided (nothing was left after all), or whose
    partition has not moved for `again_after_ms`, rests: for `rest_ms` at first, twice as long each time up to
    `rest_ms_max`, and then one place is tried. Once it moves, it is as any other.
    """

    def __init__(self, rest_ms: int, rest_ms_max: int, again_after_ms: int) -> None:
        self._rest_ms = rest_ms
        self._rest_ms_max = rest_ms_max
        self._again_after_ms = again_after_ms
        self._sent: dict[LineKey, _Sent] = {}
        self._tries: dict[LineKey, int] = {}
        self._rests_until_ms: dict[LineKey, int] = {}

    def __bool__(self) -> bool:
        return bool(self._sent)

    def remember(self, turns: Iterable[Turn], last_offsets: dict[int, int], clock_ms: int) -> None:
        """Keep in mind that these were sent at `clock_ms`, and the offset of the last in each partition."""
        for line, ticket, places in turns:
            if line.partition in last_offsets:
                self._sent[line.campaign_id, line.partition] = _Sent(
                    line.head, ticket + places, last_offsets[line.partition], line.next_offset, clock_ms
                )

    def stuck(self, tries_min: int) -> dict[LineKey, int]:
        """The lines that did not move in so many tries or more, and in how many."""
        return {key: tries for key, tries in self._tries.items() if tries >= tries_min}

    def standings(self, lines: Sequence[WaitingLine], clock_ms: int) -> list[tuple[int, int]]:
        """(first ticket not underway, how many from there on may be sent) of each line."""
        keys = {(line.campaign_id, line.partition) for line in lines}
        for kept in (self._sent, self._tries, self._rests_until_ms):
            for key in kept.keys() - keys:
                del kept[key]
        return [self._standing((line.campaign_id, line.partition), line, clock_ms) for line in lines]

    def _standing(self, key: LineKey, line: WaitingLine, clock_ms: int) -> tuple[int, int]:
        sent = self._sent.get(key)
        if sent is not None:
            if line.next_offset > sent.seen_offset:
                sent.seen_offset, sent.moved_ms = line.next_offset, clock_ms
            if line.head > sent.head:
                sent.head = line.head
                self._tries.pop(key, None)
            decided = sent.last_offset < line.next_offset
            if not decided and clock_ms - sent.moved_ms < self._again_after_ms:
                ticket = max(line.head, sent.until_ticket)
                return ticket, line.next_ticket - ticket
            del self._sent[key]
            if sent.until_ticket > line.head:
                tries = self._tries[key] = self._tries.get(key, 0) + 1
                self._rests_until_ms[key] = clock_ms + min(self._rest_ms_max, self._rest_ms * 2 ** (tries - 1))
        if self._rests_until_ms.get(key, 0) > clock_ms:
            return line.head, 0
        return line.head, 1 if key in self._tries else line.next_ticket - line.head


def openings(campaign: Campaign, line: WaitingLine, now_ms: int) -> int | None:
    """How many who wait for the campaign of `line` have their turn at `now_ms`; None: all of them."""
    if campaign.state == "closed" or now_ms >= campaign.ends_at_ms:
        return None  # each is told that it has ended
    if campaign.state == "paused":
        return 0
    if campaign.overspend == "honour" and next_release_ms(campaign, now_ms) is None:
        return None
    released = line.vouchers - unreleased(campaign, now_ms)
    return max(0, min(released, line.amount_minor // campaign.face_value_minor))


def share(supply: int, wanted: Sequence[int], served: Sequence[int]) -> list[int]:
    """`supply` shared as evenly as `wanted` lets it be: any two that want more than they get differ by one at most, and
    the odd ones go to those who were `served` least.
    """
    shares = [0] * len(wanted)
    order = sorted(range(len(wanted)), key=lambda place: served[place])
    while supply > 0:
        hungry = [place for place in order if shares[place] < wanted[place]]
        if not hungry:
            break
        part = supply // len(hungry)
        for place in hungry if part else hungry[:supply]:
            given = min(max(part, 1), wanted[place] - shares[place])
            shares[place] += given
            supply -= given
    return shares


def turns(
    lines: Sequence[WaitingLine],
    campaigns: dict[str, Campaign],
    standings: Sequence[tuple[int, int]],
    now_ms: int,
    sent_max: int,
) -> list[Turn]:
    """The admissions to send now, of all lines together at most `sent_max`: shared evenly among the campaigns that have
    openings, and in each among its lines. `standings` are those of `lines` (see Underway).
    """
    by_campaign: dict[str, list[tuple[WaitingLine, int, int]]] = {}
    for line, (ticket, left) in zip(lines, standings, strict=True):
        by_campaign.setdefault(line.campaign_id, []).append((line, ticket, left))
    wanted: list[int] = []
    for campaign_id, own in by_campaign.items():
        left_all = sum(left for _, _, left in own)
        underway_own = sum(ticket - line.head for line, ticket, _ in own)
        open_now = openings(campaigns[campaign_id], own[0][0], now_ms)
        wanted.append(left_all if open_now is None else max(0, min(left_all, open_now - underway_own)))
    found = []
    supplies = share(sent_max, wanted, [0] * len(wanted))
    for own, supply in zip(by_campaign.values(), supplies, strict=True):
        shares = share(supply, [left for _, _, left in own], [ticket for _, ticket, _ in own])
        found += [Turn(line, ticket, places) for (line, ticket, _), places in zip(own, shares, strict=True) if places]
    return found


def admission(turn: Turn, waiting: Waiting, record_time_ms: int) -> bytes:
    """The record of a `voucher.admit`, as a CloudEvent."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": f"admit-{turn.line.partition}-{waiting.ticket}",
            "source": SOURCE,
            "type": "voucher.admit",
            "time": rfc3339(record_time_ms),
            "data": {
                "campaign_id": turn.line.campaign_id,
                "user_id": waiting.user_id,
                "claim_id": waiting.claim_id,
            },
        }
    )

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
    """Whom to admit next: `count` tickets of a line, from `ticket` on."""

    line: WaitingLine
    ticket: int
    count: int


class _Sent(NamedTuple):
    """Admissions that were sent to a line: up to below this ticket, the last of them at this offset."""

    until_ticket: int
    last_offset: int


LineKey = tuple[str, int]
"""(campaign_id, partition)."""


class Underway:
    """The admissions that were sent and are not decided yet."""

    def __init__(self) -> None:
        self._sent: dict[LineKey, _Sent] = {}

    def remember(self, turns: Iterable[Turn], last_offsets: dict[int, int]) -> None:
        """Keep in mind that these were sent, and the offset of the last in each partition."""
        for line, ticket, count in turns:
            self._sent[line.campaign_id, line.partition] = _Sent(ticket + count, last_offsets[line.partition])

    def count(self, lines: Sequence[WaitingLine]) -> int:
        """How many admissions are underway to these lines, as far as they have seen."""
        sent = (self._sent.get((line.campaign_id, line.partition)) for line in lines)
        return sum(max(0, one.until_ticket - line.head) for one, line in zip(sent, lines, strict=True) if one)

    def next_tickets(self, lines: Sequence[WaitingLine]) -> list[int]:
        """From which ticket on each line can be served: what was decided meanwhile and did not move the line (nothing
        was left) is to be sent again.
        """
        waiting: dict[LineKey, _Sent] = {}
        tickets = []
        for line in lines:
            key = (line.campaign_id, line.partition)
            sent = self._sent.get(key)
            if sent is None or sent.last_offset < line.next_offset:
                tickets.append(line.head)
            else:
                waiting[key] = sent
                tickets.append(max(line.head, sent.until_ticket))
        self._sent = waiting
        return tickets


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
        part, odd = divmod(supply, len(hungry))
        for number, place in enumerate(hungry):
            given = min(part + (number < odd), wanted[place] - shares[place])
            shares[place] += given
            supply -= given
    return shares


def turns(
    lines: Sequence[WaitingLine], campaigns: dict[str, Campaign], underway: Underway, now_ms: int, sent_max: int
) -> list[Turn]:
    """The admissions to send now, of all lines together at most `sent_max` underway: shared evenly among the campaigns
    that have openings, and in each among its lines.
    """
    tickets = dict(zip(lines, underway.next_tickets(lines), strict=True))
    by_campaign: dict[str, list[WaitingLine]] = {}
    for line in lines:
        by_campaign.setdefault(line.campaign_id, []).append(line)
    wanted: list[int] = []
    for campaign_id, own in by_campaign.items():
        left = sum(line.next_ticket - tickets[line] for line in own)
        open_now = openings(campaigns[campaign_id], own[0], now_ms)
        underway_now = sum(tickets[line] - line.head for line in own)
        wanted.append(left if open_now is None else max(0, min(left, open_now - underway_now)))
    room = sent_max - sum(ticket - line.head for line, ticket in tickets.items())
    found = []
    for own, supply in zip(by_campaign.values(), share(room, wanted, [0] * len(wanted)), strict=True):
        left_in = [line.next_ticket - tickets[line] for line in own]
        for line, count in zip(own, share(supply, left_in, [tickets[line] for line in own]), strict=True):
            if count > 0:
                found.append(Turn(line, tickets[line], count))
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

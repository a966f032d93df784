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


class _Sent(NamedTuple):
    """Admissions that were sent to a line: up to below this ticket, the last of them at this offset."""

    until_ticket: int
    last_offset: int


LineKey = tuple[str, int]
"""(campaign_id, partition)."""


class Underway:
    """The admissions that were sent and are not decided yet.

    A line that did not move as far as it was sent to, since nothing was left after all, rests for `rest_ms`.
    """

    def __init__(self, rest_ms: int) -> None:
        self._rest_ms = rest_ms
        self._sent: dict[LineKey, _Sent] = {}
        self._rests_until_ms: dict[LineKey, int] = {}

    def __bool__(self) -> bool:
        return bool(self._sent)

    def remember(self, turns: Iterable[Turn], last_offsets: dict[int, int]) -> None:
        """Keep in mind that these were sent, and the offset of the last in each partition."""
        for line, ticket, places in turns:
            self._sent[line.campaign_id, line.partition] = _Sent(ticket + places, last_offsets[line.partition])

    def standings(self, lines: Sequence[WaitingLine], clock_ms: int) -> list[tuple[int, int]]:
        """(first ticket not underway, how many from there on may be sent) of each line."""
        sent_before, self._sent = self._sent, {}
        rests_before, self._rests_until_ms = self._rests_until_ms, {}
        found = []
        for line in lines:
            key = (line.campaign_id, line.partition)
            sent, rests_until_ms = sent_before.get(key), rests_before.get(key, 0)
            ticket = line.head
            if sent is not None and sent.last_offset >= line.next_offset:
                self._sent[key] = sent
                ticket = max(ticket, sent.until_ticket)
            elif sent is not None and sent.until_ticket > line.head:
                rests_until_ms = clock_ms + self._rest_ms
            if rests_until_ms > clock_ms:
                self._rests_until_ms[key] = rests_until_ms
            found.append((ticket, 0 if rests_until_ms > clock_ms else line.next_ticket - ticket))
        return found


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
    """The admissions to send now, of all lines together at most `sent_max` underway: shared evenly among the campaigns
    that have openings, and in each among its lines. `standings` are those of `lines` (see Underway).
    """
    by_campaign: dict[str, list[tuple[WaitingLine, int, int]]] = {}
    for line, (ticket, left) in zip(lines, standings, strict=True):
        by_campaign.setdefault(line.campaign_id, []).append((line, ticket, left))
    wanted: list[int] = []
    underway = 0
    for campaign_id, own in by_campaign.items():
        left_all = sum(left for _, _, left in own)
        underway_own = sum(ticket - line.head for line, ticket, _ in own)
        open_now = openings(campaigns[campaign_id], own[0][0], now_ms)
        wanted.append(left_all if open_now is None else max(0, min(left_all, open_now - underway_own)))
        underway += underway_own
    found = []
    supplies = share(sent_max - underway, wanted, [0] * len(wanted))
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

"""One run: the claims of one possible day, decided by the functions that decide them in production. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from voucher_ledger.claims.decide import decide
from voucher_ledger.claims.evolve import evolve
from voucher_ledger.claims.state import Claims, Lease
from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.plan.campaign import PlannedCampaign, Tranches
from voucher_ledger.plan.forecast import Demand

# How many steps the campaign's length is drawn in.
STEPS: Final = 360


@dataclass(slots=True)
class Run:
    """What came of a run, in simulated cards and claims; times in milliseconds from the campaign's start.

    `waiting` counts claims refused until the next tranche (`not_released`), `refused` those refused for good.
    `last_card_ms` is when the last card was granted that there will ever be, None where some are left at the end.
    `available_ms` is the time in which there was a card to claim, `longest_gap_ms` the longest in which there was none,
    and `tranches_after_empty` counts those, but for the first, that came when all cards before them were gone.
    `granted_by_step` is how many were granted by the end of each of STEPS equal parts, the start before them.
    """

    granted_by_row: list[int]
    granted: int = 0
    refused: int = 0
    waiting: int = 0
    last_card_ms: int | None = None
    available_ms: int = 0
    longest_gap_ms: int = 0
    tranches_after_empty: int = 0
    granted_by_step: list[int] = field(default_factory=list)


class _Cards:
    """The lease that a run grants from: it gets what is released, when it is released."""

    def __init__(self, campaign: PlannedCampaign, tranches: Tranches, budget_minor: int) -> None:
        # All that is released is in it: when it is empty, no pool and no other lease could help.
        self.lease = Lease(0, 0, budget_minor, everything=True)
        self._face_value_minor = campaign.rules.face_value_minor
        self._begin_ms = campaign.rules.starts_at_ms
        self._tranches = list(tranches)
        self._next = 0
        # Since when it has been as it is: with a card to claim, or without.
        self._since_ms = 0
        self._had_cards = False
        self.available_ms = 0
        self.longest_gap_ms = 0
        self.tranches_after_empty = 0

    @property
    def is_empty(self) -> bool:
        return self.lease.vouchers < 1 or self.lease.amount_minor < self._face_value_minor

    @property
    def is_over(self) -> bool:
        """Whether no card will be granted any more: all are released and gone, or the budget is."""
        return self.lease.amount_minor < self._face_value_minor or (self.is_empty and self._next == len(self._tranches))

    def release(self, now_ms: int) -> None:
        """Add the tranches that are due at `now_ms` (from the start)."""
        while self._next < len(self._tranches):
            at_ms = self._tranches[self._next][0] - self._begin_ms
            if at_ms > now_ms:
                return
            # Nothing can have run out before the first one.
            self.tranches_after_empty += self._next > 0 and self.is_empty
            self.lease.vouchers += self._tranches[self._next][1]
            self._next += 1
            self.note(at_ms)

    def note(self, now_ms: int) -> None:
        """Count the time up to `now_ms`, when a card was taken or cards came, or which is the campaign's end."""
        passed_ms = now_ms - self._since_ms
        if self._had_cards:
            self.available_ms += passed_ms
            self._since_ms = now_ms
        else:
            self.longest_gap_ms = max(self.longest_gap_ms, passed_ms)
        if self._had_cards == self.is_empty:
            self._had_cards = not self.is_empty
            self._since_ms = now_ms


def play(
    campaign: PlannedCampaign,
    rows: list[Demand],
    tranches: Tranches,
    budget_minor: int,
    claims: Iterable[tuple[int, int]],
) -> Run:
    """Decide `claims` (milliseconds from the start, place in `rows`), each of a user of its own."""
    rules = replace(campaign.rules, tranches=tranches)
    cards = _Cards(campaign, tranches, budget_minor)
    state = Claims(Journal("claim.commands"), {rules.campaign_id: rules}, {rules.campaign_id: cards.lease})
    run = Run([0] * len(rows))
    cards.release(0)
    for number, (now_ms, place) in enumerate(claims):
        if now_ms >= campaign.length_ms:
            break
        _fill(run, campaign.length_ms, now_ms)
        cards.release(now_ms)
        command = _claim(rules.campaign_id, number, rows[place].city_tier, rules.starts_at_ms + now_ms)
        event = decide(state, command)
        evolve(state, command, event)
        _count(run, event, place)
        if event.type == "voucher.granted":
            cards.note(now_ms)
            if cards.is_over:
                run.last_card_ms = now_ms
    _fill(run, campaign.length_ms, campaign.length_ms + 1)
    cards.release(campaign.length_ms)
    cards.note(campaign.length_ms)
    run.available_ms, run.longest_gap_ms = cards.available_ms, cards.longest_gap_ms
    run.tranches_after_empty = cards.tranches_after_empty
    return run


def _claim(campaign_id: str, number: int, city_tier: int | None, time_ms: int) -> Command:
    data: dict[str, object] = {"campaign_id": campaign_id, "user_id": f"u-{number}"}
    if city_tier is not None:
        data["city_tier"] = city_tier
    return Command("voucher.claim", f"c-{number}", data, 0, number, time_ms)


def _count(run: Run, event: Event, place: int) -> None:
    if event.type == "voucher.granted":
        run.granted += 1
        run.granted_by_row[place] += 1
    elif event.data["reason"] == "not_released":
        run.waiting += 1
    else:
        run.refused += 1


def _fill(run: Run, length_ms: int, now_ms: int) -> None:
    """Note what was granted at the steps that lie before `now_ms`."""
    while len(run.granted_by_step) <= STEPS and len(run.granted_by_step) * length_ms < now_ms * STEPS:
        run.granted_by_step.append(run.granted)

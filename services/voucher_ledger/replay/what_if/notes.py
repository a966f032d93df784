"""What must be said beside the figures of a what-if, for they alone would be misread."""

from collections.abc import Mapping, Sequence

from voucher_ledger.campaigns.rules import opened_rules
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Command
from voucher_ledger.replay.bounds import Bound
from voucher_ledger.replay.what_if.report import BASELINE, CHANGED, Report
from voucher_ledger.replay.what_if.rules import amended
from voucher_ledger.replay.what_if.side import Side

_LETTERS_SHOWN_MAX = 3


def of(
    report: Report, openings: Sequence[Command], since: Bound, sides: Mapping[str, Side], strange: int
) -> list[str]:  # fmt: skip
    """The notes, each a sentence or two. `strange` counts records on the event topics that are no events."""
    found = [
        *_of_orders(report),
        *_of_gains(report, openings),
        *_of_top_ups(report, openings, sides),
        *_of_bounds(report, openings, since),
        *(line for name, side in sides.items() for line in _of_letters(name, side)),
    ]
    if report.unanswered:
        found.append(f"{report.unanswered:,} of the commands have no event: not decided yet, or a dead letter then")
    if strange:
        found.append(f"{strange:,} records on the event topics are no events: `replay verify` names them")
    return found


def _of_orders(report: Report) -> list[str]:
    if CHANGED not in report.sides:
        return []
    unknown = {
        name: sum(figures.orders_refused.get("unknown_voucher", 0) for figures in report.sides[name].values())
        for name in (BASELINE, CHANGED)
    }
    found = []
    if unknown[CHANGED] != unknown[BASELINE]:
        found.append(
            f"{unknown[CHANGED]:,} orders name a voucher that is not granted under the changed rules "
            f"({unknown[BASELINE]:,} under the recorded ones): they are refused as unknown_voucher"
        )
    if report.stand_ins:
        found.append(
            f"{report.stand_ins:,} recorded vouchers are other ones here, granted to the same user by another claim or "
            "turn: his orders use these"
        )
    if report.repriced:
        found.append(
            f"{report.repriced:,} payments and refunds have another amount than was recorded: what the order costs "
            "under the changed rules"
        )
    return found


def _of_gains(report: Report, openings: Sequence[Command]) -> list[str]:
    faces: dict[str, int] = {}
    for opening in openings:
        rules = opened_rules(amended(opening, report.changes).data)
        faces.setdefault(rules.campaign_id, rules.face_value_minor)
    return [
        f"{campaign_id}: {count:,} vouchers go to users who had none that day, so nobody has ordered with them: spend "
        f"is without them, and may be up to {count * faces[campaign_id]:,} more, in minor units"
        for campaign_id, count in sorted(report.gained.items())
    ] + [
        f"{campaign_id}: {count:,} vouchers of that day are not granted; their users' orders are refused"
        for campaign_id, count in sorted(report.lost.items())
    ]


def _of_top_ups(report: Report, openings: Sequence[Command], sides: Mapping[str, Side]) -> list[str]:
    """Who asks for a quota of 3,000 and had a top-up of 200 that day gets 3,200."""
    if CHANGED not in sides:
        return []
    opened: dict[str, Command] = {}
    for opening in openings:
        opened.setdefault(opening.data["campaign_id"], opening)
    found = []
    for campaign_id, booked in sorted(sides[CHANGED].tally.top_ups.items()):
        if campaign_id not in report.changes:
            continue
        rules = amended(opened[campaign_id], report.changes).data
        cards, budget_minor = (sum(part) for part in zip(*booked, strict=True))
        was = "was played as it was sent" if len(booked) == 1 else "were played as they were sent"
        found.append(
            f"{campaign_id}: {len(booked):,} campaign.top_up of {cards:,} cards and {budget_minor:,} minor units "
            f"{was}, so the quota is {rules['quota'] + cards:,} and the budget {rules['budget_minor'] + budget_minor:,}"
        )
    return found


def _of_bounds(report: Report, openings: Sequence[Command], since: Bound) -> list[str]:
    found = []
    ids = report.campaign_ids()
    early = sorted(
        {
            opening.data["campaign_id"]
            for opening in openings
            if since.time_ms is not None and opening.time_ms < since.time_ms and opening.data["campaign_id"] in ids
        }
    )
    if early:
        found.append(
            f"opened before {rfc3339(since.time_ms or 0)}, with their whole quota and budget here, as if nobody had "
            f"claimed by then: {', '.join(early)}"
        )
    if report.left_out:
        found.append(
            f"{report.left_out:,} orders, cancels and payments are of vouchers that are not played: left out on all "
            "sides"
        )
    return found


def _of_letters(name: str, side: Side) -> list[str]:
    if not side.letters:
        return []
    shown = "; ".join(error for error, _ in side.letters.most_common(_LETTERS_SHOWN_MAX))
    return [f"{name}: {side.letters.total():,} commands could not be decided, as dead letters are not: {shown}"]

"""What the live page shows, as JSON-ready data: of all campaigns in short, and of one in full. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from voucher_ledger.core.currency import minor_digits
from voucher_ledger.monitor.alerts import Standing
from voucher_ledger.monitor.buckets import MINUTE_SECONDS, Bucket, count_of, empty
from voucher_ledger.monitor.burn_down import burn_down, minute_starts
from voucher_ledger.monitor.facts import Facts
from voucher_ledger.monitor.forecast import GRANTED, net_per_second
from voucher_ledger.monitor.outlook import RESERVED, Buckets, Outlook, Refusals, high_ticket_share, refusals
from voucher_ledger.monitor.windows import per_second

CURVES = {
    "granted": (GRANTED,),
    "refused": ("voucher.rejected",),
    "orders": (RESERVED,),
    "settled": ("payment.settled",),
}
RECENT_CURVE_SECONDS = 600
RECENT_STEP_SECONDS = 5
# The rate that is told as the present one: the trend still tells of ten minutes when nothing is granted any more.
NET_SECONDS = 10

Json = dict[str, Any]


def in_short(outlook: Outlook) -> Json:
    """A line of the list of campaigns."""
    facts = outlook.facts
    return {
        "campaign_id": outlook.campaign_id,
        "name": None if facts is None else facts.name,
        "state": None if facts is None else facts.state,
        "as_of": outlook.as_of,
        "cards_left": None if facts is None else facts.cards_left,
        "quota": None if facts is None else facts.quota,
    }


def in_full(outlook: Outlook, buckets: Buckets, *, with_running: bool = False) -> Json:
    """All of one campaign. Times are seconds since 1970, money is in minor units, rates are per second.

    `with_running` shows the windows that still run too: for a report, which nobody looks at again a moment later.
    """
    return {
        **in_short(outlook),
        "facts": None if outlook.facts is None else facts_json(outlook.facts),
        "currency_digits": None if outlook.facts is None else minor_digits(outlook.facts.currency),
        "release": None if outlook.facts is None else release(outlook.facts, outlook.as_of),
        "first_demand": outlook.first_demand,
        "net_recent": net_recent(buckets, outlook.as_of),
        "rates": None if outlook.rates is None else outlook.rates._asdict(),
        "cards_end": None if outlook.cards_end is None else outlook.cards_end._asdict(),
        "budget_end": None if outlook.budget_end is None else outlook.budget_end._asdict(),
        "gone_at": outlook.gone_at,
        "planned_granted": outlook.planned_granted,
        "recent": recent_curve(buckets, outlook.as_of, outlook.first_demand, with_running=with_running),
        "minutes": minute_curve(buckets, outlook.as_of, with_running=with_running),
        "burn_down": burn_down(buckets, outlook),
        "outcomes": {type_: cell[0] for type_, cell in outlook.total["types"].items()},
        "refusals": _refusals(outlook.refusals),
        "reasons": reasons(outlook.recent, outlook.total),
        "categories": shares(outlook.recent, outlook.total, "categories", outlook.by_category),
        "tiers": shares(outlook.recent, outlook.total, "tiers", outlook.by_tier),
        "high_ticket_share": outlook.high_ticket_share,
        # Of all time: for a report, whose newest demand may be from hours after the rush.
        "day": {
            "refusals": _refusals(refusals(outlook.total)),
            "high_ticket_share": high_ticket_share(outlook.total),
        },
        "reconciliation": None
        if outlook.reconciliation is None
        else {**asdict(outlook.reconciliation), "difference": outlook.reconciliation.difference},
    }


def by_interest(outlooks: Iterable[Outlook], standing: Iterable[Standing], now: float) -> list[Outlook]:
    """The campaigns in the order in which somebody wants to see them: those that run, those to come, those that the
    ledger told nothing of, those that are over; of each first those with alerts and demand, the most demand lately.
    """
    alarming = {one.condition.key.campaign_id for one in standing if one.told}

    def place(one: Outlook) -> tuple[int, int, int, str]:
        facts = one.facts
        if facts is None:
            rank = 2
        elif facts.state == "closed" or now >= facts.ends_at:
            rank = 3
        else:
            rank = int(now < facts.starts_at)
        return rank, -(one.campaign_id in alarming) - bool(one.lately), -one.lately, one.campaign_id

    return sorted(outlooks, key=place)


def net_recent(buckets: Buckets, moment: int) -> float:
    """Grants less expiries a second in the last NET_SECONDS."""
    minutes, start = buckets.get("minute", {}), moment - NET_SECONDS
    return sum(net_per_second(minutes, start, moment)) / NET_SECONDS


def _refusals(found: Iterable[Refusals]) -> list[Json]:
    return [{**asdict(one), "share": one.share} for one in found]


def facts_json(facts: Facts) -> Json:
    """A campaign's facts; orjson takes no named tuple, and `asdict` leaves them as they are."""
    return {**asdict(facts), "tranches": [tranche._asdict() for tranche in facts.tranches]}


def release(facts: Facts, as_of: int) -> Json:
    """Cards that can be claimed now (released, and paid for by the budget), the next tranche, and who waits."""
    supply = facts.supply(as_of)
    return {
        "claimable": min(supply.claimable, facts.affordable),
        "next": supply.coming[0]._asdict() if supply.coming else None,
        "waiting": facts.waiting,
        # A simulation gives out times to come: there nobody has waited yet.
        "waiting_seconds": None if facts.waiting_since is None else max(0.0, as_of - facts.waiting_since),
    }


def recent_curve(buckets: Buckets, moment: int, first_demand: int, *, with_running: bool = False) -> Json:
    """The last ten minutes in tumbling windows of five seconds, per second; the one that still runs if asked for."""
    end = moment - moment % RECENT_STEP_SECONDS
    start = max(end - RECENT_CURVE_SECONDS, first_demand - first_demand % RECENT_STEP_SECONDS)
    minutes = buckets.get("minute", {})
    starts = list(range(start, moment if with_running else end, RECENT_STEP_SECONDS))
    curves = {}
    for name, types in CURVES.items():
        counts = per_second(minutes, types, start, moment)
        windows = [counts[at - start : at - start + RECENT_STEP_SECONDS] for at in starts]
        curves[name] = [sum(window) / len(window) for window in windows]
    return {"at": starts, **curves}


def minute_curve(buckets: Buckets, moment: int, *, with_running: bool = False) -> Json:
    """Each minute that is kept, gaps as zeros, per second; the minute that still runs only if asked for."""
    minutes = buckets.get("minute", {})
    starts = minute_starts(minutes, moment)
    running = moment - moment % MINUTE_SECONDS
    if with_running and minutes and running < moment:
        starts = [*starts, running]
    nothing = empty()
    curves = {
        name: [count_of(minutes.get(at, nothing), *types) / min(MINUTE_SECONDS, moment - at) for at in starts]
        for name, types in CURVES.items()
    }
    return {"at": starts, **curves}


def reasons(recent: Bucket, total: Bucket) -> list[Json]:
    """Refusals by reason, most in the last minutes first."""
    found = [
        {"type": type_, "reason": reason, "recent": recent["reasons"].get(type_, {}).get(reason, 0), "total": count}
        for type_, by_reason in total["reasons"].items()
        for reason, count in by_reason.items()
    ]
    return sorted(found, key=lambda one: (-one["recent"], -one["total"], one["type"], one["reason"]))


def shares(recent: Bucket, total: Bucket, by: str, grown: Sequence[Any]) -> list[Json]:
    """Orders and grants by category or tier, with the growth against the day before; most orders first."""
    growth = {one.name: one for one in grown}
    orders, grants = _counts(total, by, RESERVED), _counts(total, by, GRANTED)
    lately, granted_lately = _counts(recent, by, RESERVED), _counts(recent, by, GRANTED)
    found = []
    for name in orders.keys() | grants.keys():
        one = growth.get(name)
        found.append(
            {
                "name": name,
                "orders": orders.get(name, 0),
                "orders_recent": lately.get(name, 0),
                "grants": grants.get(name, 0),
                "grants_recent": granted_lately.get(name, 0),
                "hour": 0 if one is None else one.count,
                "hour_day_before": 0 if one is None else one.count_day_before,
                "growth": None if one is None else one.ratio,
            }
        )
    return sorted(found, key=lambda one: (-one["orders"], -one["grants"], one["name"]))


def alert_lines(standing: Iterable[Standing]) -> list[Json]:
    """What fires, the worst and latest first."""
    told = sorted(
        (one for one in standing if one.told), key=lambda one: (one.condition.severity != "critical", -one.since)
    )
    return [
        {
            **one.condition.key._asdict(), "severity": one.condition.severity, "summary": one.condition.summary,
            "since": one.since,
        }
        for one in told
    ]  # fmt: skip


def _counts(bucket: Bucket, by: str, type_: str) -> dict[str, int]:
    cells = bucket["categories"] if by == "categories" else bucket["tiers"]
    return {name: cell[0] for name, cell in cells.get(type_, {}).items()}

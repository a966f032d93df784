"""Which alerts hold, and when one begins and ends. Pure: `conditions` looks, `step` remembers."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, NamedTuple

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.currency import money
from voucher_ledger.monitor.outlook import Outlook

Severity = Literal["warning", "critical"]

# A campaign may end so much before its plan without an alert: this share of its length, and at least so many seconds.
EARLY_SHARE = 0.05
EARLY_SECONDS_MIN = 300
SOON_SECONDS = 1_800
GROWTH_RATIO = 3.0
REFUSED_SHARE = 0.5
REFUSALS_ANSWERED_MIN = 100
BUDGET_SHARES: Mapping[str, tuple[float, Severity]] = {"80": (0.80, "warning"), "95": (0.95, "critical")}
# Not told before it held so long: rollups come a moment after the ledger's balances, and a young trend leaps.
PENDING_SECONDS: Mapping[str, float] = {"reconciliation": 30.0, "ends_before_plan": 60.0}
SEVERITIES: tuple[Severity, ...] = ("warning", "critical")
# Where all is gone sooner, an end is held for this share of the time until then, and so long at least: by then the
# trend has one more window. Held for a minute, it would be told when nothing is left to do.
PENDING_SHARE = 0.25
PENDING_SECONDS_MIN = 10.0
# Over only once it did not hold for so long, or an alert at its threshold would come and go with every batch.
CLEAR_SECONDS = 60.0


class Key(NamedTuple):
    """What an alert is about: one of each is firing at a time."""

    campaign_id: str
    alert: str
    subject: str


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that holds now. `value` and `threshold` are in `unit`. What is certain is told at once; what is
    foretold comes in `ends_in` seconds; what only `goes_on` does not begin, but what was told of it is not over.
    """

    key: Key
    severity: Severity
    summary: str
    value: float
    threshold: float
    unit: str
    is_certain: bool = False
    goes_on: bool = False
    ends_in: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert that holds or held until lately; times in seconds since 1970 by the monitor's clock.

    The condition's severity is the one that was told, once it was told. `worse_since` is since when a higher one holds
    that is not told yet.
    """

    condition: Condition
    since: float
    held_at: float
    told: bool
    worse_since: float | None = None


class Change(NamedTuple):
    """What is to be told: an alert began or became worse, or is over."""

    state: Literal["firing", "resolved"]
    condition: Condition
    since: float


def conditions(outlook: Outlook) -> list[Condition]:
    """What is alarming about a campaign; nothing of one that the ledger does not know, or that is closed or over."""
    facts = outlook.facts
    if facts is None:
        return []
    running = facts.state != "closed" and outlook.as_of < facts.ends_at
    return [*(_of_running(outlook) if running else ()), *_reconciliation(outlook)]


def _of_running(outlook: Outlook) -> Iterator[Condition]:
    yield from _ends_before_plan(outlook)
    yield from _budget(outlook)
    for growth in (*outlook.by_category,):
        if growth.ratio is not None and growth.ratio > GROWTH_RATIO:
            summary = f"{growth.name}: {growth.count:,} orders in an hour, {growth.ratio:.1f} times the day before's"
            yield _condition(outlook, "growth", growth.name, "warning", summary, growth.ratio, GROWTH_RATIO, "ratio")
    for refusals in outlook.refusals:
        if refusals.answered >= REFUSALS_ANSWERED_MIN and refusals.share > REFUSED_SHARE:
            summary = f"{refusals.share:.0%} of {refusals.room} are refused, most as {refusals.top_reason}"
            yield _condition(
                outlook, "refusals", refusals.room, "warning", summary, refusals.share, REFUSED_SHARE, "share"
            )


def _ends_before_plan(outlook: Outlook) -> Iterator[Condition]:
    facts = outlook.facts
    if facts is None:
        return
    slack = max(EARLY_SECONDS_MIN, EARLY_SHARE * (facts.ends_at - facts.starts_at))
    for subject, left, end in (
        ("cards", facts.cards_left, outlook.cards_end),
        ("budget", facts.affordable, outlook.budget_end),
    ):
        is_gone = left == 0
        # From when it went, not from now: it would get the less early the longer nobody does anything.
        since = outlook.as_of if outlook.gone_at is None else outlook.gone_at
        moment = float(since) if is_gone else end.middle if end is not None else None
        if moment is None:
            continue
        early = facts.ends_at - moment
        is_early = early > slack
        if not is_early and not is_gone:
            continue
        away = moment - outlook.as_of
        gone = "gone" if is_gone else f"gone in {_span(away)}, at {rfc3339(int(moment) * 1000)[:19]}Z"
        summary = f"{subject} {gone}: {_span(early)} before the plan"
        severity: Severity = "critical" if away < SOON_SECONDS and is_early else "warning"
        found = _condition(outlook, "ends_before_plan", subject, severity, summary, early, slack, "seconds")
        # Gone so late is no news; but nothing got better where it was told.
        yield replace(found, is_certain=is_gone, goes_on=not is_early, ends_in=away)


def _budget(outlook: Outlook) -> Iterator[Condition]:
    facts = outlook.facts
    if facts is None:
        return
    for subject, (share, severity) in BUDGET_SHARES.items():
        used = facts.budget_used_share
        if used >= share:
            summary = f"{used:.1%} of the budget is used: {money(facts.budget_left_minor, facts.currency)} left"
            yield _condition(outlook, "budget", subject, severity, summary, used, share, "share")


def _reconciliation(outlook: Outlook) -> Iterator[Condition]:
    found = outlook.reconciliation
    if found is not None and found.difference:
        summary = f"{found.counted:,} cards are out by the demand counted, {found.ledger:,} by the ledger"
        yield _condition(outlook, "reconciliation", "cards", "warning", summary, found.difference, 0, "cards")


def _condition(
    outlook: Outlook, alert: str, subject: str, severity: Severity, summary: str, value: float, threshold: float,
    unit: str,
) -> Condition:  # fmt: skip
    return Condition(Key(outlook.campaign_id, alert, subject), severity, summary, float(value), float(threshold), unit)


def step(
    standing: Mapping[Key, Standing],
    holding: list[Condition],
    looked_at: AbstractSet[str],
    now: float,
    unknown: AbstractSet[Key] = frozenset(),
    held_before: Mapping[Key, float] = MappingProxyType({}),
) -> tuple[dict[Key, Standing], list[Change]]:
    """One look further: the alerts that stand now, and what is to be told, each beginning, rise and end once.

    Args:
        standing: what the last step gave, or what `ledger.alerts` had told before the monitor started.
        holding: what holds now.
        looked_at: the campaigns that were looked at; alerts of others stay as they are.
        now: seconds since 1970.
        unknown: of these nothing could be told now: they stay as they are, also those that are not told yet.
        held_before: for how many seconds what was never judged before had held by then.
    """
    after: dict[Key, Standing] = {}
    changes: list[Change] = []
    for condition in holding:
        before = standing.get(condition.key)
        if condition.goes_on and (before is None or not before.told):
            continue
        stands, is_news = _held(before, condition, now, held_before.get(condition.key, 0.0))
        if is_news:
            changes.append(Change("firing", condition, stands.since))
        after[condition.key] = stands
    for key, stands in standing.items():
        if key in after:
            continue
        is_looked_at = key.campaign_id in looked_at and key not in unknown
        if not is_looked_at or (stands.told and now - stands.held_at < CLEAR_SECONDS):
            after[key] = stands
        elif stands.told:
            changes.append(Change("resolved", stands.condition, stands.since))
    return after, changes


def as_they_are(standing: Iterable[Standing], holding: Iterable[Condition]) -> list[Standing]:
    """Alerts with the figures of now, where they hold: those on the topic are of when they were told."""
    now = {condition.key: condition for condition in holding}
    return [
        replace(one, condition=replace(now.get(one.condition.key, one.condition), severity=one.condition.severity))
        for one in standing
    ]


def pending_seconds(condition: Condition) -> float:
    """How long it has to hold before it is told."""
    if condition.is_certain:
        return 0.0
    longest = PENDING_SECONDS.get(condition.key.alert, 0.0)
    if condition.ends_in is None:
        return longest
    return min(longest, max(PENDING_SECONDS_MIN, PENDING_SHARE * condition.ends_in))


def _held(before: Standing | None, condition: Condition, now: float, held_before: float) -> tuple[Standing, bool]:
    """What stands of a condition that holds now, and whether that is to be told: that it began, or became worse.

    Of an alert that was told the severity only rises, until it is over: one at the threshold between two would be told
    with every batch, and topic, page and metrics would not agree on it. A rise waits as long as a beginning does.
    """
    pending = pending_seconds(condition)
    if before is None or not before.told:
        since = now - held_before if before is None else before.since
        told = now - since >= pending
        return Standing(condition, since, held_at=now, told=told), told
    severity_told = before.condition.severity
    if SEVERITIES.index(condition.severity) <= SEVERITIES.index(severity_told):
        kept = replace(condition, severity=severity_told)
        return replace(before, condition=kept, held_at=now, worse_since=None), False
    worse_since = now - held_before if before.worse_since is None else before.worse_since
    if now - worse_since >= pending:
        return replace(before, condition=condition, held_at=now, worse_since=None), True
    kept = replace(condition, severity=severity_told)
    return replace(before, condition=kept, held_at=now, worse_since=worse_since), False


def _span(seconds: float) -> str:
    """`7 s`, `12 min`, `5.3 h`, `2.1 days`: as exact as anyone reads it."""
    for unit, size, form in (("days", 172_800, 86_400.0), ("h", 7_200, 3_600.0), ("min", 120, 60.0)):
        if seconds >= size:
            return f"{seconds / form:.1f} {unit}" if unit != "min" else f"{seconds / form:.0f} min"
    return f"{seconds:.0f} s"

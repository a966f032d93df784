"""A report as tables for people."""

import math
from collections.abc import Callable, Iterable

import orjson
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.plan.campaign import MINUTE_MS
from voucher_ledger.plan.outcome import Outcome, Quantiles
from voucher_ledger.plan.report import Report, notes, release

QUANTILES = ("10 %", "50 %", "90 %")


def show(report: Report, console: Console) -> None:
    """Print it; the release last, in lines that can be copied."""
    _say(console, title(report))
    console.print(plans_table(report))
    console.print(budget_table(report))
    if report.recommended.parts:
        console.print(parts_table(report))
    for note in notes(report):
        _say(console, note)
    _say(console, "\n" + checked(report))
    _say(console, f"\n{release_head(report)}\n{release_lines(report)}")


def release_head(report: Report) -> str:
    """What `release_lines` are."""
    tranches, quota = report.recommended.tranches, report.trial.campaign.quota
    return f"Recommended, for campaign.open: {len(tranches):,} tranches that sum to {quota:,}"


def release_lines(report: Report) -> str:
    """The recommended release as it stands in the data of a `campaign.open`: to be pasted, a tranche a line."""
    lines = (orjson.dumps(tranche).decode() for tranche in release(report.recommended.tranches))
    return '"release": [\n' + ",\n".join(f"  {line}" for line in lines) + "\n]"


def title(report: Report) -> str:
    """The campaign and how it was tried, in one sentence each."""
    trial = report.trial
    rules = trial.campaign.rules
    return (
        f"{rules.campaign_id}: {trial.campaign.quota:,} cards from {rfc3339(rules.starts_at_ms)}, meant for "
        f"{trial.campaign.length_ms / MINUTE_MS:g} minutes; {report.claims_expected:,} claims expected.\n"
        f"{trial.runs:,} runs, seed {trial.seed}, demand uncertain by {trial.uncertainty:g}."
    )


def checked(report: Report) -> str:
    """What the paced plan itself guarantees, and what the runs say of it, in one sentence each."""
    outcome, campaign = report.paced, report.trial.campaign
    count, later = len(outcome.tranches), len(outcome.tranches) - 1
    last_minute = (outcome.tranches[-1][0] - campaign.rules.starts_at_ms) / MINUTE_MS
    limit = ", if the budget lasts" if campaign.cards_covered < campaign.quota else ""
    ran_out = f"they had run out before {outcome.tranches_after_empty.middle:,} of the {later:,} later tranches, "
    return (
        f"With the {outcome.name} ({count:,} {'tranches' if later else 'tranche'}) new cards come until minute "
        f"{last_minute:,g}{limit}.\nIn the medians of the runs there are cards to claim "
        f"{share(outcome.available_share.middle)} of the time, {ran_out if later else ''}and the longest time without "
        f"a card is {outcome.longest_gap_minutes.middle:,.1f} minutes."
    )


def measures(outcome: Outcome) -> Iterable[tuple[str, tuple[str, str, str]]]:
    """The figures of a plan, each with its quantiles as text."""
    last = "last card granted, minute" if outcome.tranches else "cards run out, minute"
    yield last, _texts(outcome.last_card_minutes, minutes)
    yield "cards granted", _texts(outcome.granted, whole)
    if outcome.tranches:
        yield "must wait for the next tranche", _texts(outcome.waiting, whole)
    yield "claims refused for good", _texts(outcome.refused, whole)
    yield "time with cards to claim", _texts(outcome.available_share, share)
    yield "longest time without, minutes", _texts(outcome.longest_gap_minutes, lambda value: f"{value:,.1f}")
    if len(outcome.tranches) > 1:
        later = len(outcome.tranches) - 1
        yield f"tranches after cards ran out, of {later:,}", _texts(outcome.tranches_after_empty, whole)
    if outcome.spend_minor is not None:
        yield "expected spend, minor units", _texts(outcome.spend_minor, whole)


def plans_table(report: Report) -> Table:
    """Each plan's figures."""
    table = _table("Plans, in quantiles of the runs", "plan", "what")
    for outcome in report.outcomes:
        name = outcome.name
        for what, texts in measures(outcome):
            table.add_row(name, what, *texts)
            name = ""
        table.add_section()
    return table


def budget_table(report: Report) -> Table:
    """The most that the campaign can commit, against its budget."""
    campaign = report.trial.campaign
    face_value_minor = campaign.rules.face_value_minor
    table = Table(title=f"Budget, {campaign.rules.currency} in minor units", box=SIMPLE, padding=(0, 1))
    table.add_column("what")
    table.add_column("amount", justify="right")
    table.add_row("quota x face value", whole(campaign.quota * face_value_minor))
    table.add_row("budget", whole(campaign.budget_minor))
    table.add_row("committed at most", whole(campaign.cards_covered * face_value_minor))
    table.add_row("cards that the budget covers", f"{campaign.cards_covered:,} of {campaign.quota:,}")
    return table


def parts_table(report: Report) -> Table:
    """Categories and city tiers under the paced plan."""
    outcome = report.paced
    table = _table(f"By part, {outcome.name}", "part", "what")
    for part in outcome.parts:
        table.add_row(escape(f"{part.kind} {part.name}"), "cards granted", *_texts(part.granted, whole))
        if part.spend_minor is not None:
            limit = "" if part.budget_minor is None else f" (budget {part.budget_minor:,})"
            table.add_row("", f"expected spend{limit}", *_texts(part.spend_minor, whole))
    return table


def minutes(value: float) -> str:
    """A minute from the start, or that it never comes to that."""
    return "cards left" if math.isinf(value) else f"{value:,.1f}"


def share(value: float) -> str:
    """A share in percent."""
    return f"{100 * value:.1f} %"


def whole(value: float) -> str:
    """A number with its thousands told apart."""
    return f"{value:,.0f}"


def _table(title_text: str, *names: str) -> Table:
    table = Table(title=title_text, box=SIMPLE, padding=(0, 1))
    for name in names:
        table.add_column(name)
    for name in QUANTILES:
        # Folded on a narrow terminal: half a number would be a wrong one.
        table.add_column(name, justify="right", overflow="fold")
    return table


def _texts(found: Quantiles, show_one: Callable[[float], str]) -> tuple[str, str, str]:
    return show_one(found.low), show_one(found.middle), show_one(found.high)


def _say(console: Console, text: str) -> None:
    # Neither wrapped nor coloured: it is copied, and a campaign's id is no markup.
    console.print(text, markup=False, highlight=False, soft_wrap=True)

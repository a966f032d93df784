"""All that a planner is told: the plans that were tried, the recommended tranches, and what to beware of. Pure."""

from dataclasses import dataclass
from typing import Any

import orjson

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.plan.campaign import MINUTE_MS, Tranches
from voucher_ledger.plan.outcome import Outcome, Part, Quantiles, Trial
from voucher_ledger.plan.tranches import recommend

ALL_AT_ONCE = "all at once"
AS_IN_THE_FILE = "release of the file"
RECOMMENDED = "recommended release"


@dataclass(frozen=True, slots=True)
class Report:
    """The outcomes of the plans: all cards at once, the file's own tranches where it has some, the recommended ones."""

    trial: Trial
    all_at_once: Outcome
    as_in_the_file: Outcome | None
    recommended: Outcome

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """All of them."""
        between = () if self.as_in_the_file is None else (self.as_in_the_file,)
        return (self.all_at_once, *between, self.recommended)

    @property
    def paced(self) -> Outcome:
        """The outcome with tranches: the file's where it has some."""
        return self.as_in_the_file or self.recommended

    @property
    def claims_expected(self) -> int:
        """By the forecast, within the campaign."""
        return round(sum(row.claims for row in self.trial.rows))


def plan(trial: Trial, tranche_count: int | None) -> Report:
    """Try the campaign without tranches, with its own, and with `tranche_count` recommended ones (or the default)."""
    campaign = trial.campaign
    tranches = recommend(campaign, trial.rows, tranche_count)
    return Report(
        trial,
        trial.outcome(ALL_AT_ONCE, ()),
        trial.outcome(AS_IN_THE_FILE, campaign.tranches) if campaign.tranches else None,
        trial.outcome(RECOMMENDED, tranches),
    )


def release(tranches: Tranches) -> list[dict[str, Any]]:
    """Tranches as `campaign.open` takes them."""
    return [{"at": rfc3339(at_ms), "quota": quota} for at_ms, quota in tranches]


def notes(report: Report) -> list[str]:
    """What a reader must know to read the figures right."""
    trial = report.trial
    campaign, scale = trial.campaign, trial.scale
    found = []
    if campaign.cards_covered < campaign.quota:
        found.append(
            f"Budget risk: the budget covers {campaign.cards_covered:,} of {campaign.quota:,} cards; once they are "
            "granted, claims are refused as budget_exhausted."
        )
    found += [
        f"Budget risk: {part.name} may want {part.spend_minor.high:,} (90 % of runs, {outcome.name}), its budget is "
        f"{part.budget_minor:,}; orders beyond it are refused as category_budget_exhausted."
        for outcome in (report.all_at_once, report.paced)
        for part in outcome.parts
        if part.budget_minor is not None and part.spend_minor is not None and part.spend_minor.high > part.budget_minor
    ]
    if campaign.rules.voucher_ttl_ms < campaign.length_ms:
        found.append(
            f"Cards expire {campaign.rules.voucher_ttl_ms / MINUTE_MS:g} minutes after they were granted; those that "
            "come back unused before the campaign's end are not granted again here."
        )
    if round(trial.claims_left_out):
        found.append(f"Left out: {trial.claims_left_out:,.0f} claims that are expected past the campaign's end.")
    if scale.factor > 1:
        found.append(
            f"Scaled down: one simulated claim stands for {scale.factor:,} claims, {scale.cards:,} simulated cards for "
            f"{campaign.quota:,}."
        )
    tranches = report.paced.tranches
    none = sum(cards == 0 for _, cards in scale.tranches(campaign, tranches))
    if none:
        found.append(
            f"Coarse: {none:,} of the {len(tranches):,} tranches are less than one simulated card; times with and "
            f"without cards ({report.paced.name}) are rough."
        )
    return found


def to_json(report: Report) -> str:
    """One JSON object; a null among `last_card_granted_minutes` says that cards are left at the end."""
    trial = report.trial
    campaign = trial.campaign
    rules = campaign.rules
    whole = {
        "campaign_id": rules.campaign_id,
        "starts_at": rfc3339(rules.starts_at_ms),
        "ends_at": rfc3339(rules.ends_at_ms),
        "quota": campaign.quota,
        "currency": rules.currency,
        "face_value_minor": rules.face_value_minor,
        "quota_value_minor": campaign.quota * rules.face_value_minor,
        "budget_minor": campaign.budget_minor,
        "committed_at_most_minor": campaign.cards_covered * rules.face_value_minor,
        "claims_expected": report.claims_expected,
        "claims_left_out": round(trial.claims_left_out),
        "runs": trial.runs,
        "seed": trial.seed,
        "uncertainty": trial.uncertainty,
        "scale": {"claims_each": trial.scale.factor, "cards_simulated": trial.scale.cards},
        "plans": [_outcome(outcome) for outcome in report.outcomes],
        "release": release(report.recommended.tranches),
        "notes": notes(report),
    }
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode()


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "plan": outcome.name,
        "tranches": len(outcome.tranches),
        "last_card_granted_minutes": _quantiles(outcome.last_card_minutes),
        "granted": _quantiles(outcome.granted),
        "must_wait_for_next_tranche": _quantiles(outcome.waiting),
        "refused": _quantiles(outcome.refused),
        "available_share": _quantiles(outcome.available_share),
        "longest_without_cards_minutes": _quantiles(outcome.longest_gap_minutes),
        "tranches_after_cards_ran_out": _quantiles(outcome.tranches_after_empty) if outcome.tranches else None,
        "spend_minor": _quantiles(outcome.spend_minor),
        "parts": [_part(part) for part in outcome.parts],
    }


def _part(part: Part) -> dict[str, Any]:
    return {
        part.kind.replace(" ", "_"): part.name,
        "granted": _quantiles(part.granted),
        "spend_minor": _quantiles(part.spend_minor),
        "budget_minor": part.budget_minor,
    }


def _quantiles(found: Quantiles | None) -> dict[str, float] | None:
    return None if found is None else {"p10": found.low, "p50": found.middle, "p90": found.high}

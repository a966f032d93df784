"""The campaign that is planned: the `data` of a `campaign.open` command, checked as a processor checks it."""

from dataclasses import dataclass
from typing import Any

import orjson

from voucher_ledger.core.clock import milliseconds, rfc3339
from voucher_ledger.core.validation import CommandDecoder, Undecidable
from voucher_ledger.ledger.model import Campaign
from voucher_ledger.plan.errors import BadInput

MINUTE_MS = 60_000

Tranches = tuple[tuple[int, int], ...]
"""(moment in milliseconds since 1970, cards released then), in the order of the moments."""


@dataclass(frozen=True, slots=True)
class PlannedCampaign:
    """A campaign's rules with its quota and budget; `tranches` is empty where all cards are there from the start."""

    rules: Campaign
    quota: int
    budget_minor: int
    category_budgets_minor: dict[str, int]
    tranches: Tranches

    @property
    def length_ms(self) -> int:
        """From start to end."""
        return self.rules.ends_at_ms - self.rules.starts_at_ms

    @property
    def cards_covered(self) -> int:
        """How many cards can be granted: quota and budget both set a limit."""
        return min(self.quota, self.budget_minor // self.rules.face_value_minor)


def read_campaign(name: str, content: bytes) -> PlannedCampaign:
    """The campaign in a file; raises BadInput, which names the file and the line or field."""
    try:
        data = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{name}:{error.lineno}: not JSON: {error.msg} (column {error.colno})") from None
    if not isinstance(data, dict):
        raise BadInput(f"{name}: must be a JSON object, the data of a campaign.open command")
    if "specversion" in data:
        raise BadInput(f"{name}: a whole command; the planner wants its `data` alone")
    _check(name, data)
    campaign = PlannedCampaign(
        _rules(data),
        data["quota"],
        data["budget_minor"],
        data.get("category_budgets_minor", {}),
        tuple((milliseconds(tranche["at"]), tranche["quota"]) for tranche in data.get("release", ())),
    )
    if campaign.quota < 1:
        raise BadInput(f"{name}: data.quota: a campaign without cards needs no plan")
    if campaign.tranches:
        _check_tranches(name, campaign)
    return campaign


def _check(name: str, data: dict[str, Any]) -> None:
    """Decode the command that the data would make, so that the planner takes what a processor takes, and no more."""
    envelope = {
        "specversion": "1.0",
        "id": "plan",
        "source": "voucher-ledger/plan",
        "type": "campaign.open",
        "time": rfc3339(0),
        "data": data,
    }
    owner = data.get("campaign_id")
    try:
        CommandDecoder("campaign.commands").decode(
            orjson.dumps(envelope), owner.encode() if isinstance(owner, str) else None
        )
    except Undecidable as error:
        raise BadInput(f"{name}: {error}") from None


def _rules(data: dict[str, Any]) -> Campaign:
    voucher = data["voucher"]
    categories = data.get("categories")
    return Campaign(
        campaign_id=data["campaign_id"],
        state="open",
        currency=data["currency"],
        voucher_kind=voucher["kind"],
        face_value_minor=voucher["face_value_minor"],
        percent_bp=voucher.get("percent_bp"),
        min_spend_minor=voucher.get("min_spend_minor", 0),
        starts_at_ms=milliseconds(data["starts_at"]),
        ends_at_ms=milliseconds(data["ends_at"]),
        per_user_limit=data.get("per_user_limit", 1),
        voucher_ttl_ms=data["voucher_ttl_s"] * 1_000,
        hold_ttl_ms=data["hold_ttl_s"] * 1_000,
        categories=None if categories is None else frozenset(categories),
    )


def _check_tranches(name: str, campaign: PlannedCampaign) -> None:
    before_ms = campaign.rules.starts_at_ms
    for place, (at_ms, _) in enumerate(campaign.tranches):
        if not campaign.rules.starts_at_ms <= at_ms < campaign.rules.ends_at_ms:
            raise BadInput(f"{name}: data.release[{place}].at: {rfc3339(at_ms)} is not within the campaign")
        if at_ms < before_ms:
            raise BadInput(f"{name}: data.release[{place}].at: {rfc3339(at_ms)} is before the tranche above it")
        before_ms = at_ms
    total = sum(quota for _, quota in campaign.tranches)
    if total != campaign.quota:
        raise BadInput(f"{name}: data.release: its tranches sum to {total:,}, data.quota is {campaign.quota:,}")

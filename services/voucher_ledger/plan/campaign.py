"""The campaign that is planned: the `data` of a `campaign.open` command, checked as a processor checks it."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import orjson

from voucher_ledger.campaigns.decide import decide
from voucher_ledger.campaigns.rules import opened_rules
from voucher_ledger.campaigns.state import Campaigns
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Command
from voucher_ledger.core.validation import CommandDecoder, Undecidable
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.ledger.model import Campaign, Tranche
from voucher_ledger.plan.errors import BadInput

MINUTE_MS = 60_000

Tranches = tuple[Tranche, ...]
"""In the order of their moments."""


@dataclass(frozen=True, slots=True)
class PlannedCampaign:
    """A campaign's rules with its quota and budget.

    `tranches` sum to the quota, or are empty where the file has no `release`: then all cards are there from the start.
    The rules themselves have none: a run is told which plan it tries.
    """

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
    command = _command(name, data)
    if data["quota"] < 1:
        raise BadInput(f"{name}: data.quota: a campaign without cards needs no plan")
    # What the campaigns room would refuse needs no plan either: it would never be opened.
    event = decide(Campaigns(Journal("campaign.commands")), command)
    if event.type == "campaign.rejected":
        raise BadInput(f"{name}: data: campaign.open would be refused: {event.data['detail']}")
    rules = opened_rules(data)
    tranches = _whole(rules, data["quota"]) if "release" in data else ()
    # Quota and budget are what is planned, so a claim that would be honoured past them counts as refused.
    planned = replace(rules, tranches=(), overspend="forbid")
    category_budgets_minor = data.get("category_budgets_minor", {})
    return PlannedCampaign(planned, data["quota"], data["budget_minor"], category_budgets_minor, tranches)


def _command(name: str, data: dict[str, Any]) -> Command:
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
        return CommandDecoder("campaign.commands").decode(
            orjson.dumps(envelope), owner.encode() if isinstance(owner, str) else None
        )
    except Undecidable as error:
        raise BadInput(f"{name}: {error}") from None


def _whole(rules: Campaign, quota: int) -> Tranches:
    """The whole quota by the moments in which it becomes claimable: what no tranche names is there from the start."""
    released: Counter[int] = Counter()
    for at_ms, share in rules.tranches:
        released[max(at_ms, rules.starts_at_ms)] += share
    released[rules.starts_at_ms] += quota - released.total()
    return tuple((at_ms, share) for at_ms, share in sorted(released.items()) if share)

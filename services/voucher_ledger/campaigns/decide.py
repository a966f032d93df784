"""Campaigns: opened, topped up, paused, resumed, closed. Pure: the state and the command in, the event out."""

from typing import Any

from voucher_ledger.campaigns.state import CampaignBook, Campaigns
from voucher_ledger.core.clock import milliseconds
from voucher_ledger.core.records import Command, Event, rejected

# What `campaign.open` may ask for holds for the sum after a top-up too, so that no sum can leave a bigint.
QUOTA_MAX = 10**15
BUDGET_MINOR_MAX = 10**15

# The fields of a command that its refusal repeats. `reason` is not among them: there it is the refusal's own.
_REPEATED = ("campaign_id", "quota", "budget_minor", "approved_by")

# What the opening's outcome repeats.
_OPENED = frozenset(["campaign_id", "quota", "budget_minor"])

_OUTCOME = {
    "campaign.pause": "campaign.paused",
    "campaign.resume": "campaign.resumed",
    "campaign.close": "campaign.closed",
}


def decide(state: Campaigns, command: Command) -> Event:
    """The outcome of a campaign command: an accepted one again is answered as before, a refused one anew."""
    data = command.data
    campaign_id = data["campaign_id"]
    answer = state.answers.get((campaign_id, command.id))
    if answer is not None:
        if answer.command_type == command.type and answer.content == data:
            return _again(answer.outcome, data)
        return _refused(command, "conflict", f"the id was used before by a {answer.command_type} with other content")
    campaign = state.campaigns.get(campaign_id)
    if command.type == "campaign.open":
        return _open(campaign, command)
    if campaign is None:
        return _refused(command, "unknown_campaign", "no campaign of this id was opened")
    if campaign.state == "closed":
        return _refused(command, "ended", "the campaign is closed: open another")
    if command.type == "campaign.top_up":
        return _top_up(campaign, command)
    return Event(_OUTCOME[command.type], {**data, "command_id": command.id})


def _again(outcome: Event, data: dict[str, Any]) -> Event:
    """The outcome given before. Its fields come in the order of the command's, as they did then: the database keeps no
    order, and the same command must be answered by the same bytes however it fell into batches.
    """
    ordered = {field: outcome.data[field] for field in data if field in outcome.data}
    return Event(outcome.type, {**ordered, **outcome.data, "duplicate": True})


def _open(campaign: CampaignBook | None, command: Command) -> Event:
    data = command.data
    if campaign is not None:
        return _refused(command, "conflict", f"the campaign was opened by the command {campaign.command_id}")
    unfit = _unfit_release(data)
    if unfit is not None:
        return _refused(command, "conflict", unfit)
    accepted = {field: value for field, value in data.items() if field in _OPENED}
    return Event("campaign.opened", {**accepted, "command_id": command.id})


def _unfit_release(data: dict[str, Any]) -> str | None:
    """What is wrong with the tranches: a claim could never come to the last cards, or there are not so many."""
    tranches = data.get("release", ())
    released = sum(tranche["quota"] for tranche in tranches)
    if released > data["quota"]:
        return f"the tranches of `release` hold {released}, more than the quota of {data['quota']}"
    ends_at_ms = milliseconds(data["ends_at"])
    late = next((tranche["at"] for tranche in tranches if milliseconds(tranche["at"]) >= ends_at_ms), None)
    return (
        None if late is None else f"the tranche at {late} would be released at ends_at or after it: {data['ends_at']}"
    )


def _top_up(campaign: CampaignBook, command: Command) -> Event:
    data = command.data
    if campaign.quota + data["quota"] > QUOTA_MAX:
        return _refused(command, "conflict", f"a campaign's quota is at most {QUOTA_MAX}; it has {campaign.quota}")
    if campaign.budget_minor + data["budget_minor"] > BUDGET_MINOR_MAX:
        text = f"a campaign's budget is at most {BUDGET_MINOR_MAX} minor units; it has {campaign.budget_minor}"
        return _refused(command, "conflict", text)
    return Event("campaign.topped_up", {**data, "command_id": command.id})


def _refused(command: Command, reason: str, detail: str) -> Event:
    repeated = {field: command.data[field] for field in _REPEATED if field in command.data}
    return rejected("campaign.rejected", command, reason, {**repeated, "detail": detail})

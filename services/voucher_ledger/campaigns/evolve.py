"""How an accepted campaign command changes the working set: campaigns, answers and the journal. No IO."""

from voucher_ledger.campaigns.state import Answer, CampaignBook, Campaigns
from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger.model import Role

_STATE = {"campaign.paused": "paused", "campaign.resumed": "open", "campaign.closed": "closed"}


def evolve(state: Campaigns, command: Command, event: Event) -> None:
    """Apply `event`, the outcome of `command`; refusals and duplicates change nothing."""
    if event.type == "campaign.rejected" or "duplicate" in event.data:
        return
    data = command.data
    campaign_id = data["campaign_id"]
    if event.type == "campaign.opened":
        state.campaigns[campaign_id] = CampaignBook(
            campaign_id, command.id, "open", data["quota"], data["budget_minor"]
        )
        state.opened[campaign_id] = command
        _fund(state, command)
    elif event.type == "campaign.topped_up":
        campaign = state.campaigns[campaign_id]
        campaign.quota += data["quota"]
        campaign.added_quota += data["quota"]
        campaign.budget_minor += data["budget_minor"]
        campaign.added_budget_minor += data["budget_minor"]
        _fund(state, command)
    else:
        state.campaigns[campaign_id].state = _STATE[event.type]
    key = (campaign_id, command.id)
    state.answers[key] = Answer(command.type, data, event)
    state.answered.append(key)


def _fund(state: Campaigns, command: Command) -> None:
    """Move quota and budget from `funding` to the pool, with who approved it and why where the command says so."""
    data = command.data
    if data["quota"] == 0 and data["budget_minor"] == 0:
        return
    state.journal.post(
        command,
        0,
        data["campaign_id"],
        (Role.FUNDING, 0),
        (Role.POOL, 0),
        data["quota"],
        data["budget_minor"],
        reason=data.get("reason"),
        approved_by=data.get("approved_by"),
    )

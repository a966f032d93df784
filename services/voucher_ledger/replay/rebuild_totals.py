"""A first pass over the events, so that what contradicts itself is refused before a row is written."""

from collections import Counter

from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.events_aside import EventsAside
from voucher_ledger.replay.fold_campaigns import UNTOLD_ROLES, FoldedCampaigns
from voucher_ledger.replay.rebuild_source import Source


def totals(events: EventsAside) -> FoldedCampaigns:
    """What the campaigns came to: a first pass, so that what contradicts itself is refused before a row is written."""
    campaigns = events.campaigns()
    faults: list[str] = []
    for _, fold in events.folds():
        campaigns.add(fold)
        faults += fold.faults
    faults += campaigns.faults
    if faults:
        raise Refused(f"{len(faults)} events contradict others: {'; '.join(faults[:20])}")
    return campaigns


def losses(campaigns: FoldedCampaigns, source: Source) -> Counter[str]:
    """How many grants of a campaign are booked as loss: no event tells which, so as few as leave the pool not below
    zero. Where no claim is honoured that must be none.
    """
    faces = {
        command.data["campaign_id"]: command.data["voucher"]["face_value_minor"]
        for command in source.commands.values()
        if command.type == "campaign.open"
    }
    honoured = {
        command.data["campaign_id"]
        for command in source.commands.values()
        if command.type == "campaign.open" and command.data.get("overspend") == "honour"
    }
    found: Counter[str] = Counter()
    for campaign_id, campaign in campaigns.campaigns.items():
        vouchers_left, minor_left = campaign.balances()["+".join(UNTOLD_ROLES)]
        count = max(0, -vouchers_left, -(minor_left // faces[campaign_id]))
        if count and campaign_id not in honoured:
            raise Refused(f"campaign {campaign_id} granted past its quota or budget, which it forbids")
        if count:
            found[campaign_id] = count
    return found


def percents_bp(source: Source) -> dict[str, int]:
    """What part of an order vouchers take off, in hundredths of a percent, by campaign, where it is not all of it."""
    return {
        command.data["campaign_id"]: command.data["voucher"]["percent_bp"]
        for command in source.commands.values()
        if command.type == "campaign.open" and command.data["voucher"]["kind"] == "percent_off"
    }

"""What a batch asks for, found in one go: a batch is larger than a processor's cache, so to go through its commands
once more costs some tenths of a microsecond each. Pure.
"""

from collections.abc import Iterable, Sequence

from voucher_ledger.claims.state import Queue, Survey
from voucher_ledger.core.records import Command
from voucher_ledger.ledger.model import Campaign


def survey(commands: Sequence[Command]) -> Survey:
    """Go through the commands of a batch."""
    found = Survey()
    wanted, leads, own = found.wanted, found.leads, found.owners.add
    for command in commands:
        data = command.data
        campaign_id = data["campaign_id"]
        own((campaign_id, data["user_id"]))
        if command.type == "voucher.expire":
            found.expiries.append(command)
            continue
        wanted[campaign_id] = wanted.get(campaign_id, 0) + 1
        if command.partition < leads.setdefault(campaign_id, command).partition:
            leads[campaign_id] = command
    return found


def of_campaigns(commands: Sequence[Command], campaign_ids: Iterable[str]) -> dict[str, list[Command]]:
    """The claims and admissions of a batch by campaign, of these campaigns, in order: one pass for all of them."""
    found: dict[str, list[Command]] = {campaign_id: [] for campaign_id in campaign_ids}
    if found:
        for command in commands:
            own = found.get(command.data["campaign_id"])
            if own is not None and command.type != "voucher.expire":
                own.append(command)
    return found


def grantable(campaign: Campaign, queue: Queue | None, own: Sequence[Command]) -> int:
    """How many of a campaign's own claims and admissions in a batch its state and hours let through to its lease."""
    if campaign.state != "open":
        return 0
    claims = admissions = admissions_at_all = 0
    for command in own:
        in_time = campaign.starts_at_ms <= command.time_ms < campaign.ends_at_ms
        if command.type == "voucher.claim":
            claims += in_time
        elif command.type == "voucher.admit":
            admissions += in_time
            admissions_at_all += 1
    if queue is not None and queue.waiting > admissions_at_all:
        return admissions
    # The batch may let all go who wait, by whatever answer (some at the campaign's end): claims then come to the lease.
    return admissions + claims

"""Claims and expiries: who gets a voucher. Pure: the state and the command in, the event out, nothing changed."""

from voucher_ledger.claims import limits
from voucher_ledger.claims.state import Claims, Lease, LeaseShort
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Command, Event, rejected
from voucher_ledger.ledger.model import Campaign, Voucher
from voucher_ledger.ledger.release import next_release_ms


def decide(state: Claims, command: Command) -> Event:
    """The outcome of a `voucher.claim` or `voucher.expire`.

    Raises LeaseShort where the lease can't answer and nobody has proven that there is no more.
    """
    if command.type == "voucher.claim":
        return _claim(state, command)
    return _expire(state, command)


def voucher_id_of(command: Command) -> str:
    """The id of the voucher that a claim is granted: made from the claim's place, so that it is unique, and new rows
    mostly go to the end of the index.
    """
    return f"v{command.partition}-{command.offset}"


def _claim(state: Claims, command: Command) -> Event:
    data = command.data
    campaign = state.campaigns.get(data["campaign_id"])
    if campaign is None:
        return rejected("voucher.rejected", command, "unknown_campaign", data)
    earlier = state.by_user.get((data["campaign_id"], data["user_id"]))
    if earlier is not None:
        for voucher in earlier:
            if voucher.command_id == command.id:
                return _again(campaign, voucher, command)
    now_ms = command.time_ms
    shut = _shut(campaign, now_ms)
    if shut is not None:
        return rejected("voucher.rejected", command, shut, data)
    if earlier is not None and len(earlier) >= campaign.per_user_limit:
        return rejected("voucher.rejected", command, "user_limit", data)
    if campaign.limits is not None:
        passed = limits.refusal(state, campaign, data["user_id"], data.get("device_id"), data.get("channel"), now_ms)
        if passed is not None:
            return rejected("voucher.rejected", command, "user_limit", {**data, "detail": passed})
    lease = state.leases[campaign.campaign_id]
    face_minor = campaign.face_value_minor
    if (lease.vouchers < 1 or lease.amount_minor < face_minor) and not lease.pays_with_returns(face_minor):
        # To honour a claim takes the proof too: without it, `loss` would tell of an overspend that is none.
        if not lease.everything:
            raise LeaseShort(campaign.campaign_id)
        refusal = _empty(campaign, lease, command)
        if refusal is not None:
            return refusal
    return Event(
        "voucher.granted",
        {
            **data,
            "command_id": command.id,
            "voucher_id": voucher_id_of(command),
            "face_value_minor": face_minor,
            "expires_at": rfc3339(now_ms + campaign.voucher_ttl_ms),
        },
    )


def _shut(campaign: Campaign, now_ms: int) -> str | None:
    """Why nothing can be claimed at this time; None where the campaign is open."""
    if campaign.state == "closed" or now_ms >= campaign.ends_at_ms:
        return "ended"
    if now_ms < campaign.starts_at_ms:
        return "not_started"
    return "paused" if campaign.state == "paused" else None


def _empty(campaign: Campaign, lease: Lease, command: Command) -> Event | None:
    """The refusal where nothing is left, until the next tranche if there is one; None where the claim is honoured.

    None is honoured while a tranche is to come: else nothing would pace the campaign.
    """
    gone = lease.vouchers + lease.returned_vouchers < 1
    reason = lease.refusal or ("sold_out" if gone else "budget_exhausted")
    next_ms = next_release_ms(campaign, command.time_ms)
    if next_ms is None:
        if campaign.overspend == "honour":
            return None
    elif reason == "sold_out":
        until = {**command.data, "next_release_at": rfc3339(next_ms)}
        return rejected("voucher.rejected", command, "not_released", until)
    return rejected("voucher.rejected", command, reason, command.data)


def _again(campaign: Campaign, voucher: Voucher, command: Command) -> Event:
    data = command.data
    content = (data.get("city_tier"), data.get("channel"), data.get("device_id"))
    if content != (voucher.city_tier, voucher.channel, voucher.device_id):
        return rejected("voucher.rejected", command, "conflict", data)
    return Event(
        "voucher.granted",
        {
            **data,
            "command_id": command.id,
            "voucher_id": voucher.voucher_id,
            "face_value_minor": campaign.face_value_minor,
            "expires_at": rfc3339(voucher.expires_at_ms),
            "duplicate": True,
        },
    )


def _expire(state: Claims, command: Command) -> Event:
    data = command.data
    voucher = state.by_id.get(data["voucher_id"])
    if voucher is None or voucher.campaign_id != data["campaign_id"]:
        return rejected("voucher.rejected", command, "unknown_voucher", data)
    if voucher.user_id != data["user_id"]:
        return rejected("voucher.rejected", command, "not_your_voucher", data)
    if voucher.state == "expired":
        return Event("voucher.expired", {**data, "command_id": command.id, "duplicate": True})
    if voucher.state == "spent":
        return rejected("voucher.rejected", command, "voucher_used", data)
    if voucher.state == "held":
        return rejected("voucher.rejected", command, "voucher_held", data)
    if command.time_ms < voucher.expires_at_ms:
        not_due = {**data, "detail": f"not due before {rfc3339(voucher.expires_at_ms)}"}
        return rejected("voucher.rejected", command, "conflict", not_due)
    return Event("voucher.expired", {**data, "command_id": command.id})

"""Claims, admissions and expiries: who gets a voucher. Pure: state and command in, event out, nothing changed."""

from collections.abc import Sequence
from typing import Any

from voucher_ledger.claims import limits
from voucher_ledger.claims.state import LOSS_MINOR_MAX, Claims, Lease, LeaseShort, LossFull
from voucher_ledger.claims.waiting import behind, position, queued, same_content, waits_already, waits_by
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Command, Event, rejected
from voucher_ledger.ledger.model import Campaign, Voucher, WaitingPlace
from voucher_ledger.ledger.release import next_release_ms


def decide(state: Claims, command: Command) -> Event:
    """The outcome of a `voucher.claim`, `voucher.admit` or `voucher.expire`.

    Raises LeaseShort where the lease can't answer and nobody has proven that there is no more, LossFull where a claim
    would be honoured past what the books take.
    """
    if command.type == "voucher.claim":
        return _claim(state, command)
    if command.type == "voucher.admit":
        return _admit(state, command)
    return _expire(state, command)


def voucher_id_of(command: Command) -> str:
    """The id of the voucher that a command is granted: made from the command's place, so that it is unique, and new
    rows mostly go to the end of the index.
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
    queue = state.queues.get(campaign.campaign_id)
    if queue is not None and waits_by(queue, command):
        return waits_already(queue, command)
    barred = _barred(campaign, command.time_ms)
    if barred is not None:
        return rejected("voucher.rejected", command, barred, data)
    passed = _limit_passed(state, campaign, earlier or (), data, command.time_ms)
    if passed is not None:
        return Event("voucher.rejected", {**data, "command_id": command.id, **passed})
    if queue is not None:
        standing = behind(queue, command)
        if standing is not None:
            return standing
    lease = state.leases[campaign.campaign_id]
    reason = _shortage(campaign, lease)
    if reason is not None and not _honours(campaign, lease, command.time_ms):
        return _refusal(campaign, reason, command) if queue is None else queued(queue, command)
    return _granted(campaign, command, {**data, "command_id": command.id})


def _barred(campaign: Campaign, now_ms: int) -> str | None:
    """Why nobody may claim now, whoever he is."""
    if campaign.state == "closed" or now_ms >= campaign.ends_at_ms:
        return "ended"
    if now_ms < campaign.starts_at_ms:
        return "not_started"
    return "paused" if campaign.state == "paused" else None


def _limit_passed(
    state: Claims, campaign: Campaign, earlier: Sequence[Voucher], claimed: dict[str, Any], now_ms: int
) -> dict[str, Any] | None:
    """What the refusal says where a voucher more would pass a limit; `earlier` are the user's vouchers, `claimed` names
    user, device and channel.
    """
    if len(earlier) >= campaign.per_user_limit:
        return {"reason": "user_limit"}
    if campaign.limits is None:
        return None
    device_id, channel = claimed.get("device_id"), claimed.get("channel")
    detail = limits.refusal(state, campaign, claimed["user_id"], device_id, channel, now_ms)
    return None if detail is None else {"reason": "user_limit", "detail": detail}


def _admit(state: Claims, command: Command) -> Event:
    """The turn of a waiting user, answered as his claim: by its id. Only the head of a line is served, so that none is
    overtaken in it.
    """
    data = command.data
    campaign = state.campaigns.get(data["campaign_id"])
    if campaign is None:
        return _unfit(command, "unknown_campaign")
    earlier = state.by_user.get((data["campaign_id"], data["user_id"]), ())
    by_claim = next((voucher for voucher in earlier if voucher.command_id == data["claim_id"]), None)
    queue = state.queues.get(campaign.campaign_id)
    place = None if queue is None else queue.places.get(data["user_id"])
    if queue is None or place is None or place.command_id != data["claim_id"]:
        if by_claim is not None:
            return _granted_before(by_claim, campaign, _named(data, by_claim))
        return _unfit(command, "conflict", f"the user does not wait by the claim {data['claim_id']}")
    if place.partition != command.partition:
        return _unfit(command, "conflict", f"the user waits in partition {place.partition}: send it there")
    answer = {**_named(data, place), "command_id": place.command_id}
    if place.ticket == queue.lines[place.partition].head:
        barred = _barred(campaign, command.time_ms)
        if barred == "ended":
            return Event("voucher.rejected", {**answer, "reason": "ended"})
        # Through another partition he came by a voucher meanwhile, by the same claim even; or others by what he shares.
        passed = _limit_passed(state, campaign, earlier, answer, command.time_ms)
        if by_claim is not None or passed is not None:
            return Event("voucher.rejected", {**answer, **(passed or {"reason": "user_limit"})})
        if barred is None:
            lease = state.leases[campaign.campaign_id]
            if _shortage(campaign, lease) is None or _honours(campaign, lease, command.time_ms):
                return _granted(campaign, command, answer)
    return Event("voucher.queued", {**answer, "queue_position": position(queue, place), "duplicate": True})


def _shortage(campaign: Campaign, lease: Lease) -> str | None:
    """Why nothing is left to grant; None where the lease pays for a voucher. Raises LeaseShort where it does not and
    nobody has seen that nothing else can: to honour a claim takes that proof too, without it `loss` would tell of an
    overspend that is none.
    """
    face_minor = campaign.face_value_minor
    if (lease.vouchers >= 1 and lease.amount_minor >= face_minor) or lease.pays_with_returns(face_minor):
        return None
    if not lease.everything:
        raise LeaseShort(campaign.campaign_id)
    return lease.refusal or ("sold_out" if lease.vouchers + lease.returned_vouchers < 1 else "budget_exhausted")


def _honours(campaign: Campaign, lease: Lease, now_ms: int) -> bool:
    """Whether a claim is granted past the end. Not while a tranche is to come: else nothing would pace the campaign.

    Raises LossFull where it would be, but the books take no more. The database would refuse it too, and with it a whole
    batch, in which the claims at fault would have to be searched for.
    """
    if campaign.overspend != "honour" or next_release_ms(campaign, now_ms) is not None:
        return False
    if lease.lost_minor + campaign.face_value_minor > LOSS_MINOR_MAX:
        raise LossFull(
            f"{campaign.campaign_id} has honoured {lease.lost_minor} minor units past its end through partition "
            f"{lease.shard}, where its account takes no voucher more"
        )
    return True


def _refusal(campaign: Campaign, reason: str, command: Command) -> Event:
    next_ms = next_release_ms(campaign, command.time_ms)
    if next_ms is not None and reason == "sold_out":
        until = {**command.data, "next_release_at": rfc3339(next_ms)}
        return rejected("voucher.rejected", command, "not_released", until)
    return rejected("voucher.rejected", command, reason, command.data)


def _granted(campaign: Campaign, command: Command, answer: dict[str, Any]) -> Event:
    answer["voucher_id"] = voucher_id_of(command)
    answer["face_value_minor"] = campaign.face_value_minor
    answer["expires_at"] = rfc3339(command.time_ms + campaign.voucher_ttl_ms)
    return Event("voucher.granted", answer)


def _again(campaign: Campaign, voucher: Voucher, command: Command) -> Event:
    data = command.data
    if not same_content(data, voucher):
        return rejected("voucher.rejected", command, "conflict", data)
    return _granted_before(voucher, campaign, data)


def _granted_before(voucher: Voucher, campaign: Campaign, answer: dict[str, Any]) -> Event:
    return Event(
        "voucher.granted",
        {
            **answer,
            "command_id": voucher.command_id,
            "voucher_id": voucher.voucher_id,
            "face_value_minor": campaign.face_value_minor,
            "expires_at": rfc3339(voucher.expires_at_ms),
            "duplicate": True,
        },
    )


def _named(data: dict[str, Any], claimed: Voucher | WaitingPlace | None = None) -> dict[str, Any]:
    """What the outcome of an admission repeats: the campaign, the user, and what the claim gave of itself."""
    named = {"campaign_id": data["campaign_id"], "user_id": data["user_id"]}
    if claimed is not None:
        given = {"city_tier": claimed.city_tier, "channel": claimed.channel, "device_id": claimed.device_id}
        named |= {name: value for name, value in given.items() if value is not None}
    return named


def _unfit(command: Command, reason: str, detail: str | None = None) -> Event:
    answer = {**_named(command.data), "command_id": command.data["claim_id"], "reason": reason}
    return Event("voucher.rejected", answer if detail is None else {**answer, "detail": detail})


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

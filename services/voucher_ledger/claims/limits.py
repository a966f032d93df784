"""Limits on claims beside `per_user_limit`: by user and day, by device, by channel. Pure.

What was granted counts, whatever became of it: like `per_user_limit`, none of them gets a place back by an expiry.
"""

from voucher_ledger.claims.state import Claims
from voucher_ledger.ledger.model import Campaign, LimitKey


def counted(campaign: Campaign, device_id: str | None, channel: str | None) -> list[LimitKey]:
    """What a grant to this device by this channel counts for: nothing that the claim does not name, or that the
    campaign does not limit.
    """
    limits = campaign.limits
    found: list[LimitKey] = []
    if limits is not None:
        if device_id is not None and limits.per_device is not None:
            found.append(("device", campaign.campaign_id, device_id))
        if channel is not None and channel in limits.channel_quotas:
            found.append(("channel", campaign.campaign_id, channel))
    return found


def most(campaign: Campaign, key: LimitKey) -> int:
    """How many vouchers the campaign grants to what `key` names at most; `key` is one of `counted`."""
    limits = campaign.limits
    bound = None if limits is None else limits.per_device if key[0] == "device" else limits.channel_quotas.get(key[2])
    if bound is None:
        raise ValueError(f"campaign {campaign.campaign_id} does not limit the {key[0]} {key[2]}")
    return bound


def refusal(
    state: Claims, campaign: Campaign, user_id: str, device_id: str | None, channel: str | None, time_ms: int
) -> str | None:
    """Which limit keeps the user from one voucher more at `time_ms`, in words; None where none does.

    The user's vouchers and the counts of device and channel are in `state`.
    """
    limits = campaign.limits
    if limits is None:
        return None
    if limits.per_user_day is not None:
        day = limits.day(time_ms)
        earlier = state.by_user.get((campaign.campaign_id, user_id), ())
        if sum(limits.day(voucher.granted_at_ms) == day for voucher in earlier) >= limits.per_user_day:
            return f"{limits.per_user_day} a day"
    for key in counted(campaign, device_id, channel):
        bound = most(campaign, key)
        if state.limit_counts.get(key, 0) >= bound:
            return "device" if key[0] == "device" else f"channel {channel}: {bound}"
    return None


def count(state: Claims, campaign: Campaign, device_id: str | None, channel: str | None) -> None:
    """Count a voucher that is granted to this device by this channel."""
    for key in counted(campaign, device_id, channel):
        state.limit_counts[key] = state.limit_counts.get(key, 0) + 1
        state.limit_added[key] = state.limit_added.get(key, 0) + 1

"""Orders: what a voucher takes off. Pure: the state and the command in, the event out, nothing changed."""

from typing import Any

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Command, Event, rejected
from voucher_ledger.ledger.model import Campaign, Reservation, Voucher
from voucher_ledger.orders.state import Orders


def decide(state: Orders, command: Command) -> Event:
    """The outcome of an `order.reserve`, `order.cancel` or `order.expire`."""
    if command.type == "order.reserve":
        return _reserve(state, command)
    reservation = state.reservations.get(command.data["order_id"])
    if reservation is None or reservation.user_id != command.data["user_id"]:
        return rejected("order.rejected", command, "unknown_order", command.data)
    if command.type == "order.cancel":
        return _cancel(reservation, command)
    return _expire(reservation, command)


def discount_of(campaign: Campaign, value_minor: int, amount_minor: int) -> int:
    """What a voucher worth `value_minor` takes off an order of `amount_minor`; a share is rounded down."""
    if campaign.voucher_kind == "percent_off":
        amount_minor = amount_minor * (campaign.percent_bp or 0) // 10_000
    return min(amount_minor, value_minor)


def _reserve(state: Orders, command: Command) -> Event:
    data = command.data
    voucher = state.vouchers.get(data["voucher_id"])
    earlier = state.reservations.get(data["order_id"])
    if earlier is not None:
        return _reserve_again(earlier, voucher, command)
    if voucher is None:
        return rejected("order.rejected", command, "unknown_voucher", data)
    campaign = state.campaigns[voucher.campaign_id]
    discount_minor = discount_of(campaign, voucher.face_value_minor, data["amount_minor"])
    reason = _unusable(voucher, command) or _unfit(state, campaign, data, discount_minor)
    if reason is not None:
        return _refused(command, reason, voucher)
    return Event(
        "order.reserved",
        {
            **data,
            "command_id": command.id,
            "campaign_id": campaign.campaign_id,
            "discount_minor": discount_minor,
            "expires_at": rfc3339(command.time_ms + campaign.hold_ttl_ms),
        },
    )


def _unusable(voucher: Voucher, command: Command) -> str | None:
    if voucher.user_id != command.data["user_id"]:
        return "not_your_voucher"
    if voucher.state == "expired" or command.time_ms >= voucher.expires_at_ms:
        return "voucher_expired"
    if voucher.state == "spent":
        return "voucher_used"
    if voucher.state == "held":
        return "voucher_held"
    return None


def _unfit(state: Orders, campaign: Campaign, data: dict[str, Any], discount_minor: int) -> str | None:
    category = data["category"]
    if campaign.categories is not None and category not in campaign.categories:
        return "category_not_allowed"
    if data["amount_minor"] < campaign.min_spend_minor:
        return "below_min_spend"
    left_minor = state.category_left_minor.get((campaign.campaign_id, category))
    if left_minor is not None and left_minor < discount_minor:
        return "category_budget_exhausted"
    return None


def _reserve_again(earlier: Reservation, voucher: Voucher | None, command: Command) -> Event:
    data = command.data
    if not (
        data["user_id"] == earlier.user_id
        and data["voucher_id"] == earlier.voucher_id
        and data["amount_minor"] == earlier.amount_minor
        and data["category"] == earlier.category
        and data["merchant_id"] == earlier.merchant_id
        and data.get("city_tier") == earlier.city_tier
    ):
        return _refused(command, "conflict", voucher, "this order_id was reserved before with other content")
    return Event(
        "order.reserved",
        {
            **data,
            "command_id": command.id,
            "campaign_id": earlier.campaign_id,
            "discount_minor": earlier.discount_minor,
            "expires_at": rfc3339(earlier.expires_at_ms),
            "duplicate": True,
        },
    )


def _cancel(reservation: Reservation, command: Command) -> Event:
    state = reservation.state
    if state == "held":
        return _released("order.cancelled", reservation, command)
    if state == "cancelled":
        if command.data.get("reason") == reservation.closing_reason:
            return _released("order.cancelled", reservation, command, duplicate=True)
        return _refused(command, "conflict", reservation, "this order was cancelled before for another reason")
    return _refused(command, "hold_expired" if state == "expired" else "order_not_open", reservation)


def _expire(reservation: Reservation, command: Command) -> Event:
    if reservation.state == "expired":
        return _released("order.expired", reservation, command, duplicate=True)
    if reservation.state != "held":
        return _refused(command, "order_not_open", reservation)
    if command.time_ms < reservation.expires_at_ms:
        not_due = f"not due before {rfc3339(reservation.expires_at_ms)}"
        return _refused(command, "conflict", reservation, not_due)
    return _released("order.expired", reservation, command)


def _released(type_: str, reservation: Reservation, command: Command, *, duplicate: bool = False) -> Event:
    data: dict[str, Any] = {
        **command.data,
        "command_id": command.id,
        "voucher_id": reservation.voucher_id,
        "campaign_id": reservation.campaign_id,
    }
    if duplicate:
        # An expiry is the same outcome whatever reason is sent with it, so the answer gives the first one's.
        data.pop("reason", None)
        if reservation.closing_reason is not None:
            data["reason"] = reservation.closing_reason
        data["duplicate"] = True
    return Event(type_, data)


def _refused(command: Command, reason: str, known: Voucher | Reservation | None, detail: str | None = None) -> Event:
    """A refusal that names the voucher and campaign as far as they are known."""
    data = command.data
    if known is not None:
        data = {**data, "voucher_id": known.voucher_id, "campaign_id": known.campaign_id}
    if detail is not None:
        data = {**data, "detail": detail}
    return rejected("order.rejected", command, reason, data)

"""Orders: what a voucher takes off. Pure: the state and the command in, the event out, nothing changed."""

from typing import Any

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Command, Event, rejected
from voucher_ledger.ledger.model import Campaign, Reservation, Voucher
from voucher_ledger.orders.discount import discount_of, discounts_of
from voucher_ledger.orders.several import Misfit, idle, misfit, voucher_ids
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


def _reserve(state: Orders, command: Command) -> Event:
    data = command.data
    voucher = state.vouchers.get(data["voucher_id"])
    earlier = state.reservations.get(data["order_id"])
    if earlier is not None:
        return _reserve_again(earlier, voucher, command)
    if "more_voucher_ids" in data:
        return _reserve_several(state, command)
    if voucher is None:
        return rejected("order.rejected", command, "unknown_voucher", data)
    campaign = state.campaigns[voucher.campaign_id]
    discount_minor = discount_of(campaign, voucher.face_value_minor, data["amount_minor"])
    reason = _unusable(voucher, command) or _unfit(state, campaign, data, discount_minor)
    if reason is not None:
        return _refused(command, reason, voucher)
    return _reserved(command, campaign, {"discount_minor": discount_minor})


def _reserve_several(state: Orders, command: Command) -> Event:
    """All of the vouchers are held or none: the first that can't be used refuses the order."""
    data = command.data
    named = voucher_ids(data)
    first = state.vouchers.get(named[0])
    vouchers: list[Voucher] = []
    for voucher_id in named:
        voucher = state.vouchers.get(voucher_id)
        reason = "unknown_voucher" if voucher is None else _unusable(voucher, command)
        if voucher is None or reason is not None:
            unusable = Misfit(f"for the voucher {voucher_id}; none of the {len(named)} is held", voucher_id)
            return _refused_several(command, reason or "unknown_voucher", first, unusable)
        vouchers.append(voucher)
    campaign = state.campaigns[vouchers[0].campaign_id]
    discounts_minor = discounts_of(campaign, vouchers, data["amount_minor"])
    apart = misfit(campaign, vouchers)
    if apart is not None:
        return _refused_several(command, "conflict", first, apart)
    reason = _unfit(state, campaign, data, sum(discounts_minor))
    if reason is not None:
        return _refused(command, reason, first)
    needless = idle(vouchers, discounts_minor)
    if needless is not None:
        return _refused_several(command, "conflict", first, needless)
    discounts = {"discount_minor": sum(discounts_minor), "voucher_discounts_minor": discounts_minor}
    return _reserved(command, campaign, discounts)


def _reserved(command: Command, campaign: Campaign, discounts: dict[str, Any]) -> Event:
    return Event(
        "order.reserved",
        {
            **command.data,
            "command_id": command.id,
            "campaign_id": campaign.campaign_id,
            **discounts,
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
        and tuple(data.get("more_voucher_ids", ())) == earlier.more_voucher_ids
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
            **earlier.discounts(),
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
    data: dict[str, Any] = {**command.data, "command_id": command.id, **reservation.known()}
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


def _refused_several(command: Command, reason: str, first: Voucher | None, why: Misfit) -> Event:
    """A refusal of several vouchers at once, that names the one at fault where it is one."""
    refused = _refused(command, reason, first, why.detail)
    if why.voucher_id is not None:
        refused.data["refused_voucher_id"] = why.voucher_id
    return refused

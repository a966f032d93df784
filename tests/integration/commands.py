"""Builders of commands in their envelopes."""

from typing import Any

FACE_MINOR = 2_500


def envelope(type_: str, command_id: str, data: dict[str, Any]) -> dict[str, Any]:
    """A command in its envelope."""
    return {
        "specversion": "1.0", "id": command_id, "source": "test", "type": type_,
        "time": "2026-02-06T00:00:00Z", "data": data,
    }  # fmt: skip


def campaign_open(campaign_id: str = "grey", **changes: Any) -> dict[str, Any]:
    """A campaign that is open for as long as tests run: 1,000 free orders."""
    data = {
        "campaign_id": campaign_id, "name": "Grey release", "currency": "CNY", "quota": 1_000,
        "budget_minor": 1_000 * FACE_MINOR, "voucher": {"kind": "free_order", "face_value_minor": FACE_MINOR},
        "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2100-01-01T00:00:00Z", "per_user_limit": 1,
        "voucher_ttl_s": 86_400, "hold_ttl_s": 900,
    }  # fmt: skip
    return envelope("campaign.open", f"open-{campaign_id}", {**data, **changes})


def claim(number: int, campaign_id: str = "grey", **data: Any) -> dict[str, Any]:
    """The claim of user `number`."""
    return envelope(
        "voucher.claim", f"claim-{number}", {"campaign_id": campaign_id, "user_id": f"user-{number:06d}", **data}
    )


def reserve(order_id: str, voucher: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An order of 2,500 in category `film` with a granted voucher (the data of its `voucher.granted`)."""
    data = {
        "order_id": order_id, "user_id": voucher["user_id"], "voucher_id": voucher["voucher_id"],
        "merchant_id": "merchant-1", "category": "film", "amount_minor": 2_500,
    }  # fmt: skip
    return envelope("order.reserve", f"reserve-{order_id}", {**data, **changes})


def cancel(order: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The cancel of a reserved order (the data of its `order.reserved`)."""
    data = {"order_id": order["order_id"], "user_id": order["user_id"]}
    return envelope("order.cancel", f"cancel-{order['order_id']}", {**data, **changes})


def settle(payment_id: str, order: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The payment of what a reserved order costs after its discount."""
    data = {
        "payment_id": payment_id, "order_id": order["order_id"], "user_id": order["user_id"],
        "paid_minor": order["amount_minor"] - order["discount_minor"],
    }  # fmt: skip
    return envelope("payment.settle", f"settle-{payment_id}", {**data, **changes})


def expire(voucher: dict[str, Any]) -> dict[str, Any]:
    """The expiry of a granted voucher."""
    data = {name: voucher[name] for name in ("campaign_id", "user_id", "voucher_id")}
    return envelope("voucher.expire", f"expire-{voucher['voucher_id']}", data)

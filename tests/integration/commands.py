"""Builders of the commands that follow a claim."""

from typing import Any

from tests.integration.world import envelope


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

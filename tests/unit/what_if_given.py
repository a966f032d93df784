"""Commands for the tests of `replay what-if`."""

from typing import Any

from voucher_ledger.core.records import Command

OPEN: dict[str, Any] = {
    "campaign_id": "grey", "name": "Grey", "currency": "CNY", "quota": 100, "budget_minor": 1_000,
    "voucher": {"kind": "free_order", "face_value_minor": 10}, "starts_at": "2026-02-06T00:00:00Z",
    "ends_at": "2026-02-06T06:00:00Z", "voucher_ttl_s": 60, "hold_ttl_s": 5,
}  # fmt: skip


def open_command() -> Command:
    return Command("campaign.open", "open", dict(OPEN), 0, 3, 5)


def claim(user_id: str, campaign_id: str = "grey", offset: int = 0) -> Command:
    return Command("voucher.claim", "c", {"campaign_id": campaign_id, "user_id": user_id}, 0, offset)


def order(user_id: str, voucher_id: str, order_id: str = "o") -> Command:
    return Command("order.reserve", "r", {"order_id": order_id, "user_id": user_id, "voucher_id": voucher_id}, 0, 0)


def payment(user_id: str, order_id: str = "o") -> Command:
    return Command("payment.settle", "p", {"payment_id": "p", "order_id": order_id, "user_id": user_id}, 0, 0)

"""What vouchers take off an order. Pure."""

from collections.abc import Sequence

from voucher_ledger.ledger.model import Campaign, Voucher


def discounts_of(campaign: Campaign, vouchers: Sequence[Voucher], amount_minor: int) -> list[int]:
    """What each voucher takes off an order of `amount_minor`, one after the other: each of what is left of it."""
    discounts_minor: list[int] = []
    for voucher in vouchers:
        discount_minor = discount_of(campaign, voucher.face_value_minor, amount_minor)
        discounts_minor.append(discount_minor)
        amount_minor -= discount_minor
    return discounts_minor


def discount_of(campaign: Campaign, value_minor: int, amount_minor: int) -> int:
    """What a voucher worth `value_minor` takes off an order of `amount_minor`; a share is rounded down."""
    if campaign.voucher_kind == "percent_off":
        amount_minor = amount_minor * (campaign.percent_bp or 0) // 10_000
    return min(amount_minor, value_minor)

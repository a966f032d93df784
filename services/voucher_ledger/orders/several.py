"""Several vouchers on one order: which they are, and whether they go together. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from voucher_ledger.ledger.model import Campaign, Voucher


class Misfit(NamedTuple):
    """Why vouchers that could each be used can't be used together, and which one is at fault, if it is one."""

    detail: str
    voucher_id: str | None = None


def voucher_ids(data: dict[str, Any]) -> tuple[str, ...]:
    """The vouchers of an `order.reserve` with this `data`, in the order in which they apply."""
    return (data["voucher_id"], *data.get("more_voucher_ids", ()))


def misfit(campaign: Campaign, vouchers: Sequence[Voucher]) -> Misfit | None:
    """What keeps these vouchers from one order; `campaign` is that of the first."""
    stray = next((voucher for voucher in vouchers if voucher.campaign_id != campaign.campaign_id), None)
    if stray is not None:
        detail = (
            f"voucher {stray.voucher_id} is of {stray.campaign_id}; the order's others are of {campaign.campaign_id}"
        )
        return Misfit(detail, stray.voucher_id)
    most = campaign.vouchers_per_order_max
    if len(vouchers) > most:
        return Misfit(f"the campaign allows {most} on one order, not {len(vouchers)}")
    return None


def idle(vouchers: Sequence[Voucher], discounts_minor: Sequence[int]) -> Misfit | None:
    """The first voucher that takes nothing off: it would be spent for nothing."""
    for voucher, discount_minor in zip(vouchers, discounts_minor, strict=True):
        if discount_minor == 0:
            detail = f"voucher {voucher.voucher_id} would take nothing off what the others leave of the order"
            return Misfit(detail, voucher.voucher_id)
    return None

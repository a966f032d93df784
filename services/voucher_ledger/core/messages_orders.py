"""The data of the order commands and events, as schemas/ has it; amounts in minor units, times RFC 3339 in UTC."""

from typing import Literal, NotRequired, TypedDict

OrderReason = Literal[
    "unknown_voucher",
    "not_your_voucher",
    "voucher_expired",
    "voucher_used",
    "voucher_held",
    "category_not_allowed",
    "category_budget_exhausted",
    "below_min_spend",
    "unknown_order",
    "order_not_open",
    "hold_expired",
    "conflict",
]


class OrderReserve(TypedDict):
    """`order.reserve`: `amount_minor` is the order's amount before the discount.

    `more_voucher_ids`: the vouchers that apply after `voucher_id`, in this order; all of them or none.
    """

    order_id: str
    user_id: str
    voucher_id: str
    more_voucher_ids: NotRequired[list[str]]
    merchant_id: str
    category: str
    city_tier: NotRequired[int]
    amount_minor: int


class OrderRelease(TypedDict):
    """`order.cancel`, `order.expire`."""

    order_id: str
    user_id: str
    reason: NotRequired[str]


class OrderReserved(TypedDict):
    """`order.reserved`: the voucher is held until `expires_at`.

    Of several vouchers `voucher_discounts_minor` says what each takes off, that of `voucher_id` first.
    """

    order_id: str
    user_id: str
    voucher_id: str
    more_voucher_ids: NotRequired[list[str]]
    campaign_id: str
    merchant_id: str
    category: str
    city_tier: NotRequired[int]
    amount_minor: int
    discount_minor: int
    voucher_discounts_minor: NotRequired[list[int]]
    expires_at: str
    command_id: str
    duplicate: NotRequired[Literal[True]]


class OrderReleased(TypedDict):
    """`order.cancelled`, `order.expired`."""

    order_id: str
    user_id: str
    voucher_id: str
    more_voucher_ids: NotRequired[list[str]]
    campaign_id: str
    reason: NotRequired[str]
    command_id: str
    duplicate: NotRequired[Literal[True]]


class OrderRejected(TypedDict):
    """`order.rejected`: voucher and campaign as far as they are known, the rest as order.reserve gave it."""

    order_id: str
    user_id: str
    voucher_id: NotRequired[str]
    more_voucher_ids: NotRequired[list[str]]
    refused_voucher_id: NotRequired[str]
    campaign_id: NotRequired[str]
    merchant_id: NotRequired[str]
    category: NotRequired[str]
    city_tier: NotRequired[int]
    amount_minor: NotRequired[int]
    reason: OrderReason
    detail: NotRequired[str]
    command_id: str

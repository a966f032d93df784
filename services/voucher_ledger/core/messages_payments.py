"""The data of the payment commands and events, as schemas/ has it; amounts in minor units."""

from typing import Literal, NotRequired, TypedDict

PaymentReason = Literal[
    "unknown_order",
    "order_not_open",
    "hold_expired",
    "amount_mismatch",
    "unknown_payment",
    "refund_exceeds_payment",
    "conflict",
]


class PaymentSettle(TypedDict):
    """`payment.settle`: `paid_minor` is the order's amount less the discount."""

    payment_id: str
    order_id: str
    user_id: str
    paid_minor: int


class PaymentRefund(TypedDict):
    """`payment.refund`: `amount_minor` is a part of what was paid, 0 where nothing was."""

    refund_id: str
    payment_id: str
    order_id: str
    user_id: str
    amount_minor: int
    reason: NotRequired[str]


class PaymentSettled(TypedDict):
    """`payment.settled`."""

    payment_id: str
    order_id: str
    user_id: str
    voucher_id: str
    more_voucher_ids: NotRequired[list[str]]
    campaign_id: str
    paid_minor: int
    discount_minor: int
    voucher_discounts_minor: NotRequired[list[int]]
    command_id: str
    duplicate: NotRequired[Literal[True]]


class PaymentRefunded(TypedDict):
    """`payment.refunded`: `discount_returned_minor` is 0 until all of what was paid is refunded."""

    refund_id: str
    payment_id: str
    order_id: str
    user_id: str
    voucher_id: str
    more_voucher_ids: NotRequired[list[str]]
    campaign_id: str
    amount_minor: int
    reason: NotRequired[str]
    discount_returned_minor: int
    voucher_restored: bool
    command_id: str
    duplicate: NotRequired[Literal[True]]


class PaymentRejected(TypedDict):
    """`payment.rejected`: `paid_minor` answers a settlement, `refund_id` and `amount_minor` a refund."""

    payment_id: str
    order_id: str
    user_id: str
    refund_id: NotRequired[str]
    voucher_id: NotRequired[str]
    campaign_id: NotRequired[str]
    paid_minor: NotRequired[int]
    amount_minor: NotRequired[int]
    reason: PaymentReason
    detail: NotRequired[str]
    command_id: str

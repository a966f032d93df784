"""Which topics carry which types, and what the data of each type holds.

The JSON Schemas under schemas/ validate at run time; these types say the same to the type checker, and a contract test
fails when the two drift apart. The data's types themselves live in one module a room (`messages_claims`, …).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, TypedDict

from voucher_ledger.core.messages_campaigns import (
    CampaignChange,
    CampaignChanged,
    CampaignOpen,
    CampaignOpened,
    CampaignReason,
    CampaignRejected,
    CampaignToppedUp,
    CampaignTopUp,
)
from voucher_ledger.core.messages_claims import (
    ClaimReason,
    VoucherAdmit,
    VoucherClaim,
    VoucherExpire,
    VoucherExpired,
    VoucherGranted,
    VoucherQueued,
    VoucherRejected,
)
from voucher_ledger.core.messages_orders import (
    OrderReason,
    OrderRejected,
    OrderRelease,
    OrderReleased,
    OrderReserve,
    OrderReserved,
)
from voucher_ledger.core.messages_payments import (
    PaymentReason,
    PaymentRefund,
    PaymentRefunded,
    PaymentRejected,
    PaymentSettle,
    PaymentSettled,
)

Room = Literal["campaigns", "claims", "orders", "payments"]
CommandTopic = Literal["campaign.commands", "claim.commands", "order.commands", "payment.commands"]
EventTopic = Literal["campaign.events", "claim.events", "order.events", "payment.events"]
CommandType = Literal[
    "campaign.open",
    "campaign.top_up",
    "campaign.pause",
    "campaign.resume",
    "campaign.close",
    "voucher.claim",
    "voucher.admit",
    "voucher.expire",
    "order.reserve",
    "order.cancel",
    "order.expire",
    "payment.settle",
    "payment.refund",
]
EventType = Literal[
    "campaign.opened",
    "campaign.topped_up",
    "campaign.paused",
    "campaign.resumed",
    "campaign.closed",
    "campaign.rejected",
    "voucher.granted",
    "voucher.queued",
    "voucher.expired",
    "voucher.rejected",
    "order.reserved",
    "order.cancelled",
    "order.expired",
    "order.rejected",
    "payment.settled",
    "payment.refunded",
    "payment.rejected",
]
Reason = CampaignReason | ClaimReason | OrderReason | PaymentReason


class Envelope(TypedDict):
    """A CloudEvents 1.0 record in JSON structured mode; extension attributes may stand beside these."""

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    time: str
    data: dict[str, Any]


class DeadLetterHeaders(TypedDict):
    """What a record on ledger.dead-letters carries besides its own headers; each is UTF-8 text, numbers in decimal."""

    dlq_topic: str
    dlq_partition: str
    dlq_offset: str
    dlq_error: str
    dlq_attempts: str


COMMANDS_BY_TOPIC: Mapping[CommandTopic, Mapping[CommandType, type]] = MappingProxyType(
    {
        "campaign.commands": MappingProxyType(
            {
                "campaign.open": CampaignOpen,
                "campaign.top_up": CampaignTopUp,
                "campaign.pause": CampaignChange,
                "campaign.resume": CampaignChange,
                "campaign.close": CampaignChange,
            }
        ),
        "claim.commands": MappingProxyType(
            {"voucher.claim": VoucherClaim, "voucher.admit": VoucherAdmit, "voucher.expire": VoucherExpire}
        ),
        "order.commands": MappingProxyType(
            {"order.reserve": OrderReserve, "order.cancel": OrderRelease, "order.expire": OrderRelease}
        ),
        "payment.commands": MappingProxyType({"payment.settle": PaymentSettle, "payment.refund": PaymentRefund}),
    }
)

EVENTS_BY_TOPIC: Mapping[EventTopic, Mapping[EventType, type]] = MappingProxyType(
    {
        "campaign.events": MappingProxyType(
            {
                "campaign.opened": CampaignOpened,
                "campaign.topped_up": CampaignToppedUp,
                "campaign.paused": CampaignChanged,
                "campaign.resumed": CampaignChanged,
                "campaign.closed": CampaignChanged,
                "campaign.rejected": CampaignRejected,
            }
        ),
        "claim.events": MappingProxyType(
            {
                "voucher.granted": VoucherGranted,
                "voucher.queued": VoucherQueued,
                "voucher.expired": VoucherExpired,
                "voucher.rejected": VoucherRejected,
            }
        ),
        "order.events": MappingProxyType(
            {
                "order.reserved": OrderReserved,
                "order.cancelled": OrderReleased,
                "order.expired": OrderReleased,
                "order.rejected": OrderRejected,
            }
        ),
        "payment.events": MappingProxyType(
            {
                "payment.settled": PaymentSettled,
                "payment.refunded": PaymentRefunded,
                "payment.rejected": PaymentRejected,
            }
        ),
    }
)

EVENT_TOPIC_BY_COMMAND_TOPIC: Mapping[CommandTopic, EventTopic] = MappingProxyType(
    {
        "campaign.commands": "campaign.events",
        "claim.commands": "claim.events",
        "order.commands": "order.events",
        "payment.commands": "payment.events",
    }
)

ROOM_BY_COMMAND_TOPIC: Mapping[CommandTopic, Room] = MappingProxyType(
    {
        "campaign.commands": "campaigns",
        "claim.commands": "claims",
        "order.commands": "orders",
        "payment.commands": "payments",
    }
)

# The field of `data` that must equal the record's key: all that belongs to it then lies in one partition, in order.
KEY_FIELD_BY_COMMAND_TOPIC: Mapping[CommandTopic, str] = MappingProxyType(
    {
        "campaign.commands": "campaign_id",
        "claim.commands": "user_id",
        "order.commands": "user_id",
        "payment.commands": "user_id",
    }
)

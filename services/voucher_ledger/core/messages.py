"""Which topics carry which types. What a type's data holds say the JSON Schemas under schemas/, which validate it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

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
COMMANDS_BY_TOPIC: Mapping[CommandTopic, tuple[CommandType, ...]] = MappingProxyType(
    {
        "campaign.commands": (
            "campaign.open", "campaign.top_up", "campaign.pause", "campaign.resume", "campaign.close",
        ),
        "claim.commands": ("voucher.claim", "voucher.admit", "voucher.expire"),
        "order.commands": ("order.reserve", "order.cancel", "order.expire"),
        "payment.commands": ("payment.settle", "payment.refund"),
    }
)  # fmt: skip

EVENTS_BY_TOPIC: Mapping[EventTopic, tuple[EventType, ...]] = MappingProxyType(
    {
        "campaign.events": (
            "campaign.opened", "campaign.topped_up", "campaign.paused", "campaign.resumed", "campaign.closed",
            "campaign.rejected",
        ),
        "claim.events": ("voucher.granted", "voucher.queued", "voucher.expired", "voucher.rejected"),
        "order.events": ("order.reserved", "order.cancelled", "order.expired", "order.rejected"),
        "payment.events": ("payment.settled", "payment.refunded", "payment.rejected"),
    }
)  # fmt: skip

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

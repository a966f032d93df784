"""The data of the claim commands and events, as schemas/ has it; amounts in minor units, times RFC 3339 in UTC."""

from typing import Literal, NotRequired, TypedDict

ClaimReason = Literal[
    "unknown_campaign",
    "not_started",
    "not_released",
    "ended",
    "paused",
    "sold_out",
    "budget_exhausted",
    "user_limit",
    "unknown_voucher",
    "not_your_voucher",
    "voucher_used",
    "voucher_held",
    "conflict",
]


class VoucherClaim(TypedDict):
    """`voucher.claim`."""

    campaign_id: str
    user_id: str
    city_tier: NotRequired[int]
    channel: NotRequired[str]
    device_id: NotRequired[str]


class VoucherAdmit(TypedDict):
    """`voucher.admit`: `claim_id` is the `id` of the claim by which the user waits."""

    campaign_id: str
    user_id: str
    claim_id: str


class VoucherExpire(TypedDict):
    """`voucher.expire`."""

    campaign_id: str
    user_id: str
    voucher_id: str


class VoucherGranted(TypedDict):
    """`voucher.granted`."""

    campaign_id: str
    user_id: str
    city_tier: NotRequired[int]
    channel: NotRequired[str]
    device_id: NotRequired[str]
    voucher_id: str
    face_value_minor: int
    expires_at: str
    command_id: str
    duplicate: NotRequired[Literal[True]]


class VoucherQueued(TypedDict):
    """`voucher.queued`: `queue_position` counts from 1."""

    campaign_id: str
    user_id: str
    city_tier: NotRequired[int]
    channel: NotRequired[str]
    device_id: NotRequired[str]
    queue_position: int
    command_id: str
    duplicate: NotRequired[Literal[True]]


class VoucherExpired(TypedDict):
    """`voucher.expired`."""

    campaign_id: str
    user_id: str
    voucher_id: str
    command_id: str
    duplicate: NotRequired[Literal[True]]


class VoucherRejected(TypedDict):
    """`voucher.rejected`: `next_release_at` is there for not_released and only then."""

    campaign_id: str
    user_id: str
    city_tier: NotRequired[int]
    channel: NotRequired[str]
    device_id: NotRequired[str]
    voucher_id: NotRequired[str]
    reason: ClaimReason
    next_release_at: NotRequired[str]
    detail: NotRequired[str]
    command_id: str

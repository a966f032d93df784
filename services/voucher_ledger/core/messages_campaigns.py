"""The data of the campaign commands and events, as schemas/ has it; amounts in minor units, times RFC 3339 in UTC."""

from typing import Literal, NotRequired, TypedDict

VoucherKind = Literal["free_order", "amount_off", "percent_off"]
WhenEmpty = Literal["reject", "queue"]
Overspend = Literal["forbid", "honour"]
CampaignReason = Literal["unknown_campaign", "ended", "conflict"]


class VoucherTerms(TypedDict):
    """What one voucher of a campaign is worth; `percent_bp` (basis points) is there for percent_off and only then."""

    kind: VoucherKind
    face_value_minor: int
    percent_bp: NotRequired[int]
    min_spend_minor: NotRequired[int]


class Tranche(TypedDict):
    """A part of the quota that is released at a moment of its own."""

    at: str
    quota: int


class ClaimLimits(TypedDict):
    """Limits on claims beside `per_user_limit`; those that are absent don't hold."""

    per_user_day: NotRequired[int]
    per_device: NotRequired[int]
    channel_quotas: NotRequired[dict[str, int]]
    day_utc_offset_minutes: NotRequired[int]


class CampaignOpen(TypedDict):
    """`campaign.open`: the defaults of absent fields are the schema's to tell and the room's to apply."""

    campaign_id: str
    name: str
    currency: str
    quota: int
    budget_minor: int
    voucher: VoucherTerms
    starts_at: str
    ends_at: str
    per_user_limit: NotRequired[int]
    vouchers_per_order_max: NotRequired[int]
    limits: NotRequired[ClaimLimits]
    voucher_ttl_s: int
    hold_ttl_s: int
    categories: NotRequired[list[str]]
    category_budgets_minor: NotRequired[dict[str, int]]
    release: NotRequired[list[Tranche]]
    when_empty: NotRequired[WhenEmpty]
    overspend: NotRequired[Overspend]


class CampaignTopUp(TypedDict):
    """`campaign.top_up`: what is added to quota and budget."""

    campaign_id: str
    quota: int
    budget_minor: int
    approved_by: str
    reason: str


class CampaignChange(TypedDict):
    """`campaign.pause`, `campaign.resume`, `campaign.close`."""

    campaign_id: str
    approved_by: str
    reason: str


class CampaignOpened(TypedDict):
    """`campaign.opened`."""

    campaign_id: str
    quota: int
    budget_minor: int
    command_id: str
    duplicate: NotRequired[Literal[True]]


class CampaignToppedUp(TypedDict):
    """`campaign.topped_up`: what was added."""

    campaign_id: str
    quota: int
    budget_minor: int
    approved_by: str
    reason: str
    command_id: str
    duplicate: NotRequired[Literal[True]]


class CampaignChanged(TypedDict):
    """`campaign.paused`, `campaign.resumed`, `campaign.closed`."""

    campaign_id: str
    approved_by: str
    reason: str
    command_id: str
    duplicate: NotRequired[Literal[True]]


class CampaignRejected(TypedDict):
    """`campaign.rejected`: `reason` is the refusal's, not the command's own."""

    campaign_id: str
    quota: NotRequired[int]
    budget_minor: NotRequired[int]
    approved_by: NotRequired[str]
    reason: CampaignReason
    detail: NotRequired[str]
    command_id: str

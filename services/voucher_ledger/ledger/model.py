"""The rows that decisions read, as plain objects. No IO: every decide.py may import this."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

RoleName = Literal["funding", "pool", "lease", "granted", "held", "spent", "loss"]


class Role:
    """The accounts of a campaign; `funding` and `loss` are contra accounts that may go negative.

    Plain strings and no enum: an enum's hash is Python code, and accounts are keys on the hot path.
    """

    FUNDING: Final[RoleName] = "funding"
    POOL: Final[RoleName] = "pool"
    LEASE: Final[RoleName] = "lease"
    GRANTED: Final[RoleName] = "granted"
    HELD: Final[RoleName] = "held"
    SPENT: Final[RoleName] = "spent"
    LOSS: Final[RoleName] = "loss"


# (at_ms, quota): so many vouchers are released at that moment.
Tranche = tuple[int, int]

# As in the database's enum books.account_role: the order in which accounts are locked.
ROLES: tuple[RoleName, ...] = get_args(RoleName)


LimitKind = Literal["device", "channel"]
# As in the database's enum books.limit_kind: the order in which counts are locked.
LIMIT_KINDS: tuple[LimitKind, ...] = get_args(LimitKind)
# (kind, campaign_id, device_id or channel): whose vouchers are counted.
LimitKey = tuple[LimitKind, str, str]

_MINUTE_MS, _DAY_MS = 60_000, 86_400_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on a campaign's claims beside `per_user_limit`: those that are None, and channels without quota, are none.

    `day_utc_offset_minutes` says how far the clock by which a day begins is ahead of UTC: a fixed number, for the rules
    of a time zone change, and a replay must decide the same.
    """

    per_user_day: int | None = None
    per_device: int | None = None
    channel_quotas: Mapping[str, int] = field(default_factory=dict)
    day_utc_offset_minutes: int = 0

    def day(self, time_ms: int) -> int:
        """The number of the day in which a moment lies (milliseconds since 1970)."""
        return (time_ms + self.day_utc_offset_minutes * _MINUTE_MS) // _DAY_MS


@dataclass(slots=True)
class Campaign:
    """A campaign's rules: times in milliseconds since 1970, money in minor units of `currency`.

    `overspend`: claims past quota or budget are refused (`forbid`), or granted against `loss` (`honour`).
    `when_empty`: a claim that finds nothing is refused (`reject`), or waits (`queue`).
    `tranches` are in the order of their times; one order may use `vouchers_per_order_max` of its vouchers.
    `limits` is None where there are none beside `per_user_limit`.
    """

    campaign_id: str
    state: str
    currency: str
    voucher_kind: str
    face_value_minor: int
    percent_bp: int | None
    min_spend_minor: int
    starts_at_ms: int
    ends_at_ms: int
    per_user_limit: int
    voucher_ttl_ms: int
    hold_ttl_ms: int
    categories: frozenset[str] | None
    overspend: str = "forbid"
    when_empty: str = "reject"
    tranches: tuple[Tranche, ...] = ()
    vouchers_per_order_max: int = 1
    limits: Limits | None = None


@dataclass(slots=True)
class Voucher:
    """A voucher; `face_value_minor` is what it holds of the budget now, `shard` the accounts that hold it.

    `version` counts the changes of the stored row (-1: not stored yet): a write goes through only on the version read.
    """

    voucher_id: str
    campaign_id: str
    user_id: str
    ordinal: int
    shard: int
    state: str
    face_value_minor: int
    granted_at_ms: int
    expires_at_ms: int
    command_id: str
    city_tier: int | None
    channel: str | None
    version: int = -1
    device_id: str | None = None


@dataclass(slots=True)
class Line:
    """Who waits for a campaign in one claims partition: the tickets from `head` to below `next_ticket`.

    Of those before `head`, `admitted` were granted a voucher. `changed` tells that it must be written.
    """

    campaign_id: str
    partition: int
    head: int = 0
    next_ticket: int = 0
    admitted: int = 0
    changed: bool = False


@dataclass(slots=True)
class WaitingPlace:
    """A user's place in a line, by the claim `command_id`; `ordinal` counts the places that the user ever had in the
    campaign.
    """

    campaign_id: str
    partition: int
    ticket: int
    user_id: str
    ordinal: int
    command_id: str
    city_tier: int | None
    channel: str | None
    queued_at_ms: int
    device_id: str | None = None


@dataclass(slots=True)
class Reservation:
    """An order's hold on a voucher; `closing_reason` is the reason of the cancel that ended it.

    An order of several vouchers holds those of `more_voucher_ids` too, in the order in which they apply, and
    `voucher_discounts_minor` says what each takes off, that of `voucher_id` first: together `discount_minor`.
    """

    order_id: str
    voucher_id: str
    campaign_id: str
    user_id: str
    merchant_id: str
    category: str
    city_tier: int | None
    amount_minor: int
    discount_minor: int
    state: str
    reserved_at_ms: int
    expires_at_ms: int
    closing_reason: str | None = None
    version: int = -1
    more_voucher_ids: tuple[str, ...] = ()
    voucher_discounts_minor: tuple[int, ...] = ()

    def shares(self) -> tuple[tuple[str, int], ...]:
        """(voucher_id, discount_minor) of each voucher, in the order in which they apply."""
        if not self.more_voucher_ids:
            return ((self.voucher_id, self.discount_minor),)
        return tuple(zip((self.voucher_id, *self.more_voucher_ids), self.voucher_discounts_minor, strict=True))

    def known(self) -> dict[str, Any]:
        """The order's vouchers and campaign, as events name them."""
        more = {"more_voucher_ids": list(self.more_voucher_ids)} if self.more_voucher_ids else {}
        return {"voucher_id": self.voucher_id, **more, "campaign_id": self.campaign_id}

    def discounts(self) -> dict[str, Any]:
        """What the vouchers take off, together and each of several, as events name it."""
        each = {"voucher_discounts_minor": list(self.voucher_discounts_minor)} if self.more_voucher_ids else {}
        return {"discount_minor": self.discount_minor, **each}


@dataclass(slots=True)
class Payment:
    """A settled payment; `refunded_minor` of `paid_minor` has gone back."""

    payment_id: str
    order_id: str
    user_id: str
    paid_minor: int
    discount_minor: int
    refunded_minor: int
    state: str
    settled_at_ms: int
    version: int = -1


@dataclass(slots=True)
class Refund:
    """One refund of a payment."""

    refund_id: str
    payment_id: str
    order_id: str
    user_id: str
    amount_minor: int
    reason: str | None
    discount_returned_minor: int
    voucher_restored: bool

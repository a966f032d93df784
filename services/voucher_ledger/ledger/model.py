"""The rows that decisions read, as plain objects. No IO: every decide.py may import this."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

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


@dataclass(slots=True)
class Campaign:
    """A campaign's rules: times in milliseconds since 1970, money in minor units of `currency`.

    `overspend`: claims past quota or budget are refused (`forbid`), or granted against `loss` (`honour`).
    `when_empty`: a claim that finds nothing is refused (`reject`), or waits (`queue`).
    `tranches` are in the order of their times.
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
class Place:
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


@dataclass(slots=True)
class Reservation:
    """An order's hold on a voucher; `closing_reason` is the reason of the cancel that ended it."""

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

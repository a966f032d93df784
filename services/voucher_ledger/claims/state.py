"""What claims are decided from: the part of the books that one batch touches. No IO."""

from dataclasses import dataclass, field

from voucher_ledger.core.records import Command, Undecidable
from voucher_ledger.ledger.errors import Contended
from voucher_ledger.ledger.journal import Journal, Movement
from voucher_ledger.ledger.model import Campaign, LimitKey, Line, Voucher, WaitingPlace

# The least that the database takes of an account of `loss` (account_loss_fits_a_sum), as a positive number.
LOSS_MINOR_MAX = 10**18


class LossFull(Undecidable):
    """A claim would be honoured, but the account of `loss` that it would be booked from takes no voucher more."""


class LeaseShort(Contended):
    """The lease of this batch is used up although the pool and other leases were not seen empty: draw again."""


@dataclass(slots=True)
class Lease:
    """What a batch may grant of a campaign by itself, and the shard whose accounts it goes through.

    `everything` tells that pool and all other leases were seen too small to add one voucher more, so that running out
    means sold out; `refusal` is the reason where they were seen so with their rests left in them. What the batch itself
    returns to the pool (expiries) may be granted again before it commits. `grants` is the journal's movement from the
    lease to what is granted, once there is one. Of the pool, `held_back` vouchers are not released yet; `vouchers` are
    those that are. `lost_minor` is what was honoured through the shard so far; read only where nothing is left to draw.
    """

    shard: int
    vouchers: int
    amount_minor: int
    everything: bool = False
    refusal: str | None = None
    returned_vouchers: int = 0
    returned_minor: int = 0
    held_back: int = 0
    grants: Movement | None = field(default=None, compare=False)
    lost_minor: int = field(default=0, compare=False)

    def covers(self, vouchers: int, face_minor: int) -> bool:
        """Whether it pays for so many vouchers of this value."""
        return self.vouchers >= vouchers and self.amount_minor >= vouchers * face_minor

    def pays_with_returns(self, face_minor: int) -> bool:
        """Whether lease and what the batch has returned pay for a voucher of this value together."""
        return self.vouchers + self.returned_vouchers >= 1 and self.amount_minor + self.returned_minor >= face_minor


@dataclass(slots=True)
class Queue:
    """The waiting room of a campaign: its lines by partition, how many wait in all of them, the places of the batch's
    users who wait, and how many places each of them has had so far.
    """

    lines: dict[int, Line] = field(default_factory=dict)
    waiting: int = 0
    places: dict[str, WaitingPlace] = field(default_factory=dict)
    places_had: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Survey:
    """What a batch asks for. `wanted` and `leads` are of claims and admissions, by campaign: how many, and the first of
    the lowest partition. `owners` are the (campaign_id, user_id) of all commands.
    """

    wanted: dict[str, int] = field(default_factory=dict)
    leads: dict[str, Command] = field(default_factory=dict)
    owners: set[tuple[str, str]] = field(default_factory=set)
    expiries: list[Command] = field(default_factory=list)

    def expiring(self) -> set[str]:
        """The campaigns of the expiries."""
        return {command.data["campaign_id"] for command in self.expiries}


@dataclass(slots=True)
class Claims:
    """The working set: loaded by the store, changed by `evolve`, written back by the store.

    `limit_counts` are the vouchers granted by device and by channel, those of this batch (`limit_added`) among them,
    where the campaign limits them.
    """

    journal: Journal
    campaigns: dict[str, Campaign] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)
    by_user: dict[tuple[str, str], list[Voucher]] = field(default_factory=dict)
    by_id: dict[str, Voucher] = field(default_factory=dict)
    granted: list[Voucher] = field(default_factory=list)
    changed: dict[str, Voucher] = field(default_factory=dict)
    queued: list[WaitingPlace] = field(default_factory=list)
    limit_counts: dict[LimitKey, int] = field(default_factory=dict)
    limit_added: dict[LimitKey, int] = field(default_factory=dict)
    asked: Survey = field(default_factory=Survey)

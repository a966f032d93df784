"""What `status` knows at one moment. No IO here."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from voucher_ledger.core.clock import rfc3339

# The unit that counts vouchers; every other unit is a currency.
VOUCHER = "VOUCHER"


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """One partition of a command topic.

    `next_offset` is the first that is not decided (None: nothing was ever decided there), `published_offset` the first
    whose event is not published (None: nothing was ever committed), `end_offset` where the next record will lie.
    `lag_seconds` is the age of the record at `next_offset`, 0.0 where all is decided, None where it could not be read.
    `instance` is who decided there last (None: nobody did), `instance_lives` whether a process of that name runs now.
    `undecidable_records` before the end are none that wait: a transaction's marker, or what an aborted one left.
    """

    topic: str
    partition: int
    next_offset: int | None
    published_offset: int | None
    start_offset: int
    end_offset: int
    lag_seconds: float | None
    decided: int
    dead_lettered: int
    instance: str | None
    undecidable_records: int = 0
    instance_lives: bool = True

    @property
    def lag_records(self) -> int:
        """How many records wait to be decided."""
        return max(0, self.end_offset - self.first_undecided - self.undecidable_records)

    @property
    def first_undecided(self) -> int:
        """Where deciding goes on."""
        return self.start_offset if self.next_offset is None else self.next_offset

    @property
    def unpublished_records(self) -> int | None:
        """How many decided records have no published event yet; None where that is not known."""
        if self.published_offset is None:
            return 0 if self.first_undecided <= self.start_offset else None
        return max(0, self.first_undecided - self.published_offset)


@dataclass(frozen=True, slots=True)
class Balance:
    """What a role's accounts of a campaign hold, in `unit`: VOUCHER, or minor units of a currency."""

    campaign_id: str
    role: str
    unit: str
    balance: int


@dataclass(frozen=True, slots=True)
class Tranche:
    """`quota` vouchers that become claimable at `at_ms` (milliseconds since 1970)."""

    at_ms: int
    quota: int


@dataclass(frozen=True, slots=True)
class CampaignStatus:
    """A campaign at this moment, in vouchers. `state` is open, paused or closed, and may be open past `ends_at_ms`.

    `granted` are out: granted, held or spent. `claimable` is what the next claims would get: 0 while the campaign is
    not open or not in its time. `waiting` is how many stand in its lines, and `waiting_since_ms` since when the first
    does (None: nobody waits). Times are milliseconds since 1970.
    """

    campaign_id: str
    state: str
    quota: int
    granted: int
    claimable: int
    next_tranche: Tranche | None
    waiting: int
    waiting_since_ms: int | None
    ends_at_ms: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON: times as RFC 3339."""
        tranche, since_ms = self.next_tranche, self.waiting_since_ms
        return {
            "campaign_id": self.campaign_id,
            "state": self.state,
            "quota": self.quota,
            "granted": self.granted,
            "claimable": self.claimable,
            "next_tranche": None if tranche is None else {"at": rfc3339(tranche.at_ms), "quota": tranche.quota},
            "waiting": self.waiting,
            "waiting_since": None if since_ms is None else rfc3339(since_ms),
            "ends_at": rfc3339(self.ends_at_ms),
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything, at `at_ms` (milliseconds since 1970); of the campaigns `campaigns_more` are left out."""

    at_ms: int
    partitions: Sequence[PartitionStatus]
    balances: Sequence[Balance]
    campaigns: Sequence[CampaignStatus] = ()
    campaigns_more: int = 0

    @property
    def lag_records(self) -> int:
        """How many records wait, all partitions together."""
        return sum(partition.lag_records for partition in self.partitions)

    @property
    def lag_seconds(self) -> float | None:
        """How old the oldest waiting record is; None where that of one partition is not known."""
        ages = [partition.lag_seconds for partition in self.partitions]
        known = [age for age in ages if age is not None]
        return max(known, default=0.0) if len(known) == len(ages) else None

    @property
    def dead_letters(self) -> int:
        """How many records went to the dead letters."""
        return sum(partition.dead_lettered for partition in self.partitions)

    def to_json(self) -> str:
        """One JSON object on one line."""
        partitions = [
            asdict(partition)
            | {"lag_records": partition.lag_records, "unpublished_records": partition.unpublished_records}
            for partition in self.partitions
        ]
        return orjson.dumps(
            {
                "at": rfc3339(self.at_ms),
                "lag_records": self.lag_records,
                "lag_seconds": self.lag_seconds,
                "dead_letters": self.dead_letters,
                "campaigns": [campaign.to_dict() for campaign in self.campaigns],
                "campaigns_more": self.campaigns_more,
                "partitions": partitions,
                "balances": [asdict(balance) for balance in self.balances],
            }
        ).decode()

"""The buckets of all campaigns, bounded: what is counted, what is dropped, and what has changed since. Pure.

Keys name the partition of `ledger.demand` too: after a rebalance a process may still hold keys of others.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from voucher_ledger.monitor.buckets import KEPT, SECONDS_KEPT_MINUTES, Bucket, BucketKey, Level, empty, fold, places
from voucher_ledger.monitor.demand import Demand

# Of one partition. Sixteen campaigns that have all their buckets take some 160 MB of memory, but most have few. Where
# buckets are too many, the campaign whose demand is oldest is left with its total: so what was counted stays whole.
BUCKETS_MAX = 16 * sum(KEPT.values())
# Totals count too: of one campaign too many, that whose demand is oldest goes.
CAMPAIGNS_MAX = 256

Kept = dict[Level, dict[int, Bucket]]
# A bucket as it is, or None where it was dropped.
Changes = dict[str, Bucket | None]


@dataclass(slots=True)
class Counted:
    """What became of batches and of their rows."""

    records: int = 0
    rows: int = 0
    redelivered: int = 0
    late_rows: int = 0
    malformed: int = 0


def key_of(partition: int, place: BucketKey) -> str:
    """The key of a bucket; the campaign's id comes last, since it may hold anything."""
    return f"{partition}/{place.level}/{place.start}/{place.campaign_id}"


def place_of(key: str) -> tuple[int, BucketKey]:
    """The inverse of `key_of`."""
    partition, name, start, campaign_id = key.split("/", 3)
    level = next(level for level in KEPT if level == name)
    return int(partition), BucketKey(level, int(start), campaign_id)


class Store:
    """Counts batches in buckets; whoever keeps them elsewhere too asks for the changes now and then."""

    def __init__(self, bounds: Mapping[Level, int] = KEPT) -> None:
        """`bounds` says how many buckets of each level a campaign may have."""
        self._bounds = bounds
        self._kept: dict[tuple[int, str], Kept] = {}
        self._buckets: Counter[int] = Counter()
        self._changes: Changes = {}
        self.counted = Counted()

    def load(self, buckets: Iterable[tuple[str, Bucket]], changed: AbstractSet[str] = frozenset()) -> None:
        """Hold these in place of what was held; changes not asked for are forgotten, and of these those `changed` are
        to be asked for.
        """
        self._kept.clear()
        self._buckets.clear()
        self._changes.clear()
        for key, bucket in buckets:
            partition, place = place_of(key)
            self._campaign(partition, place.campaign_id)[place.level][place.start] = bucket
            self._buckets[partition] += 1
            if key in changed:
                self._changes[key] = bucket

    def changes(self) -> Changes:
        """What has changed since the last call."""
        changed, self._changes = self._changes, {}
        return changed

    def count(self, partition: int, demand: Demand) -> None:
        """Count one batch: in each bucket where it is not counted yet, and which is still kept."""
        kept = self._kept.get((partition, demand.campaign_id)) or self._room_for(partition, demand.campaign_id)
        self.counted.records += 1
        self.counted.rows += len(demand.rows)
        is_new = not demand.rows
        for place, rows in places(demand).items():
            buckets = kept[place.level]
            if place.start not in buckets and len(buckets) >= self._bounds[place.level] and place.start < min(buckets):
                self.counted.late_rows += len(rows) if place.level == "minute" else 0
                is_new = True
                continue
            bucket = buckets.get(place.start) or empty()
            if not fold(bucket, place.level, demand, rows):
                continue
            is_new = True
            was_there = place.start in buckets
            buckets[place.start] = bucket
            self._changes[key_of(partition, place)] = bucket
            if not was_there:
                self._buckets[partition] += 1
                self._make_room(partition, place, buckets)
        self.counted.redelivered += not is_new

    def campaigns(self, partitions: Iterable[int]) -> dict[str, Kept]:
        """The buckets of the campaigns of these partitions, not to be changed."""
        wanted = set(partitions)
        return {campaign_id: kept for (partition, campaign_id), kept in self._kept.items() if partition in wanted}

    def _campaign(self, partition: int, campaign_id: str) -> Kept:
        return self._kept.setdefault((partition, campaign_id), {level: {} for level in KEPT})

    def _room_for(self, partition: int, campaign_id: str) -> Kept:
        here = [key for key in self._kept if key[0] == partition]
        if len(here) >= CAMPAIGNS_MAX:
            oldest = min(here, key=self._newest_minute)
            self._drop(oldest, KEPT)
            del self._kept[oldest]
        return self._campaign(partition, campaign_id)

    def _newest_minute(self, key: tuple[int, str]) -> int:
        return max(self._kept[key]["minute"], default=0)

    def _drop(self, key: tuple[int, str], levels: Iterable[Level]) -> None:
        partition, campaign_id = key
        for level in levels:
            buckets = self._kept[key][level]
            for start in buckets:
                self._changes[key_of(partition, BucketKey(level, start, campaign_id))] = None
            self._buckets[partition] -= len(buckets)
            buckets.clear()

    def _make_room(self, partition: int, made: BucketKey, buckets: dict[int, Bucket]) -> None:
        """A new bucket takes the place of the oldest, of the seconds of one that is no longer young, and where the
        partition has too many, of another campaign's.
        """
        if len(buckets) > self._bounds[made.level]:
            oldest = min(buckets)
            del buckets[oldest]
            self._buckets[partition] -= 1
            self._changes[key_of(partition, made._replace(start=oldest))] = None
        if self._buckets[partition] > BUCKETS_MAX:
            others = [
                key for key, kept in self._kept.items()
                if key[0] == partition and key[1] != made.campaign_id and (kept["minute"] or kept["quarter"])
            ]  # fmt: skip
            if others:
                self._drop(min(others, key=self._newest_minute), ("minute", "quarter"))
        if made.level != "minute" or len(buckets) <= SECONDS_KEPT_MINUTES:
            return
        for start in sorted(buckets)[:-SECONDS_KEPT_MINUTES]:
            if buckets[start]["seconds"]:
                buckets[start]["seconds"] = {}
                self._changes[key_of(partition, made._replace(start=start))] = buckets[start]

"""The buckets of all campaigns in one table, bounded: what is dropped, and in which order. Pure over any mapping.

The table's keys name the partition of `ledger.demand` too: after a rebalance a process may still hold keys of others.
"""

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass

from voucher_ledger.monitor.buckets import KEPT, SECONDS_KEPT_MINUTES, Bucket, Level, Place, empty, fold, places
from voucher_ledger.monitor.demand import Demand

# Of one partition; the one whose demand is oldest goes first. A campaign's buckets hold some 2 MB.
CAMPAIGNS_MAX = 16

Table = MutableMapping[str, Bucket]
Kept = dict[Level, dict[int, Bucket]]


@dataclass(slots=True)
class Counted:
    """What became of batches and of their rows."""

    records: int = 0
    rows: int = 0
    redelivered: int = 0
    late_rows: int = 0
    malformed: int = 0


def key_of(partition: int, place: Place) -> str:
    """The table's key of a bucket; the campaign's id comes last, since it may hold anything."""
    return f"{partition}/{place.level}/{place.start}/{place.campaign_id}"


def place_of(key: str) -> tuple[int, Place]:
    """The inverse of `key_of`."""
    partition, name, start, campaign_id = key.split("/", 3)
    level = next(level for level in KEPT if level == name)
    return int(partition), Place(level, int(start), campaign_id)


class Store:
    """Counts batches in the table. Each change of a bucket is one assignment, so that a changelog sees it whole."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._index: dict[tuple[int, str], Kept] = {}
        self.counted = Counted()

    def rebuild(self) -> None:
        """Learn again what the table holds, after its recovery."""
        self._index.clear()
        for key, bucket in self._table.items():
            partition, place = place_of(key)
            kept = self._index.setdefault((partition, place.campaign_id), {level: {} for level in KEPT})
            kept[place.level][place.start] = bucket

    def count(self, partition: int, demand: Demand) -> None:
        """Count one batch: in each bucket where it is not counted yet, and which is still kept."""
        kept = self._kept(partition, demand.campaign_id)
        self.counted.records += 1
        self.counted.rows += len(demand.rows)
        counted_anywhere = not demand.rows
        for place, rows in places(demand).items():
            buckets = kept[place.level]
            bucket = buckets.get(place.start)
            if bucket is None:
                if len(buckets) >= KEPT[place.level] and place.start < min(buckets):
                    self.counted.late_rows += len(rows) if place.level == "minute" else 0
                    counted_anywhere = True
                    continue
                bucket = empty()
            if not fold(bucket, place.level, demand, rows):
                continue
            counted_anywhere = True
            is_new = place.start not in buckets
            buckets[place.start] = bucket
            self._table[key_of(partition, place)] = bucket
            if is_new:
                self._forget(partition, place, buckets)
        self.counted.redelivered += not counted_anywhere

    def campaigns(self, partitions: Iterable[int]) -> dict[str, Kept]:
        """The buckets of the campaigns of these partitions, not to be changed."""
        wanted = set(partitions)
        return {campaign_id: kept for (partition, campaign_id), kept in self._index.items() if partition in wanted}

    def _kept(self, partition: int, campaign_id: str) -> Kept:
        kept = self._index.get((partition, campaign_id))
        if kept is not None:
            return kept
        here = [key for key in self._index if key[0] == partition]
        if len(here) >= CAMPAIGNS_MAX:
            self._drop(min(here, key=lambda key: max(self._index[key]["minute"], default=0)))
        return self._index.setdefault((partition, campaign_id), {level: {} for level in KEPT})

    def _drop(self, oldest: tuple[int, str]) -> None:
        partition, campaign_id = oldest
        for level, buckets in self._index.pop(oldest).items():
            for start in buckets:
                self._table.pop(key_of(partition, Place(level, start, campaign_id)), None)

    def _forget(self, partition: int, made: Place, buckets: dict[int, Bucket]) -> None:
        """A new bucket takes the place of the oldest, and of the seconds of one that is no longer young."""
        if len(buckets) > KEPT[made.level]:
            oldest = min(buckets)
            del buckets[oldest]
            self._table.pop(key_of(partition, made._replace(start=oldest)), None)
        if made.level != "minute" or len(buckets) <= SECONDS_KEPT_MINUTES:
            return
        for start in sorted(buckets)[:-SECONDS_KEPT_MINUTES]:
            if buckets[start]["seconds"]:
                buckets[start]["seconds"] = {}
                self._table[key_of(partition, made._replace(start=start))] = buckets[start]

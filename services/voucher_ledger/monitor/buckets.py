"""Demand folded into buckets of record time: the only state of the monitor, and plain JSON, as its changelog is. Pure.

A campaign has buckets on three levels: minutes, quarters of an hour, and one for all time. Each bucket keeps its own
marks of the batches that it holds. So a batch delivered twice is counted once, also where a crash came between the
writing of two buckets: one already held the batch, the other had not yet.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypedDict

from voucher_ledger.core.demand import OTHER
from voucher_ledger.monitor.demand import Demand, Row

# count, value_minor, high_ticket
Cell = list[int]
Level = Literal["minute", "quarter", "total"]

MINUTE_SECONDS = 60
QUARTER_SECONDS = 900
# Oldest dropped first, in buckets that hold demand: six hours by the minute, fifty (two days) by the quarter.
KEPT: Mapping[Level, int] = {"minute": 360, "quarter": 200, "total": 1}
# Of the minutes, so many also know their seconds.
SECONDS_KEPT_MINUTES = 20
NAMES_MAX = 100
# No sum grows past it. An order that is refused counts whatever amount it asked for, and JSON (orjson) takes no integer
# of more than 64 bits: a bucket that can't be written would end the monitor, and each start after it.
SUM_MAX = 2**63 - 1


class Bucket(TypedDict):
    """Counts of one span of record time. Keys of `reasons`, `categories` and `tiers` are event types."""

    seen: dict[str, int]
    types: dict[str, Cell]
    reasons: dict[str, dict[str, int]]
    categories: dict[str, dict[str, Cell]]
    tiers: dict[str, dict[str, Cell]]
    seconds: dict[str, list[int]]


class BucketKey(NamedTuple):
    """Which bucket: the level, where its span starts (seconds since 1970), and whose it is."""

    level: Level
    start: int
    campaign_id: str


def empty() -> Bucket:
    """A bucket that holds nothing."""
    return {"seen": {}, "types": {}, "reasons": {}, "categories": {}, "tiers": {}, "seconds": {}}


def places(demand: Demand) -> dict[BucketKey, list[Row]]:
    """The buckets that a batch belongs into, each with its rows."""
    found: dict[BucketKey, list[Row]] = {}
    for row in demand.rows:
        for place in (
            BucketKey("minute", row.at - row.at % MINUTE_SECONDS, demand.campaign_id),
            BucketKey("quarter", row.at - row.at % QUARTER_SECONDS, demand.campaign_id),
            BucketKey("total", 0, demand.campaign_id),
        ):
            found.setdefault(place, []).append(row)
    return found


def fold(bucket: Bucket, level: Level, demand: Demand, rows: Iterable[Row]) -> bool:
    """Count `rows` of the batch in this bucket, in place; False, and nothing changed, where it holds the batch already.

    A source's batches come in the order of their offsets, each once or, after a crash, again from some point on.
    """
    if demand.next_offset <= bucket["seen"].get(demand.source, -1):
        return False
    bucket["seen"][demand.source] = demand.next_offset
    for row in rows:
        if row.reason is not None:
            reasons = bucket["reasons"].setdefault(row.type, {})
            reason = _bounded(reasons, row.reason)
            reasons[reason] = added(reasons.get(reason, 0), row.count)
        if row.is_repeated:
            continue  # told by its reason alone: no card was granted, no order made
        _add(bucket["types"], row.type, row)
        if row.category is not None:
            _add(bucket["categories"].setdefault(row.type, {}), row.category, row)
        if row.city_tier is not None:
            _add(bucket["tiers"].setdefault(row.type, {}), str(row.city_tier), row)
        if level == "minute":
            seconds, second = bucket["seconds"].setdefault(row.type, [0] * MINUTE_SECONDS), row.at % MINUTE_SECONDS
            seconds[second] = added(seconds[second], row.count)
    return True


def merged(buckets: Iterable[Bucket]) -> Bucket:
    """The sum of buckets, without marks and seconds."""
    total = empty()
    for bucket in buckets:
        _merge_cells(total["types"], bucket["types"])
        for type_, reasons in bucket["reasons"].items():
            into = total["reasons"].setdefault(type_, {})
            for reason, count in reasons.items():
                into[reason] = added(into.get(reason, 0), count)
        for type_, cells in bucket["categories"].items():
            _merge_cells(total["categories"].setdefault(type_, {}), cells)
        for type_, cells in bucket["tiers"].items():
            _merge_cells(total["tiers"].setdefault(type_, {}), cells)
    return total


def count_of(bucket: Bucket, *types: str) -> int:
    """How many outcomes of these types the bucket counts."""
    return added(*(bucket["types"][type_][0] for type_ in types if type_ in bucket["types"]))


def added(*amounts: int) -> int:
    """Their sum, SUM_MAX at the most."""
    return min(sum(amounts), SUM_MAX)


def _add(cells: dict[str, Cell], name: str, row: Row) -> None:
    cell = cells.setdefault(_bounded(cells, name), [0, 0, 0])
    cell[:] = added(cell[0], row.count), added(cell[1], row.value_minor), added(cell[2], row.high_ticket)


def _merge_cells(into: dict[str, Cell], cells: Mapping[str, Cell]) -> None:
    for name, cell in cells.items():
        held = into.setdefault(_bounded(into, name), [0, 0, 0])
        # A changelog of before may hold cells of four: the fourth was always 0.
        for index, amount in enumerate(cell[:3]):
            held[index] = added(held[index], amount)


def _bounded(known: Mapping[str, object], name: str) -> str:
    """The name, or OTHER where it would be one too many: a bucket's size is bounded, whatever producers invent."""
    return name if name in known or len(known) < NAMES_MAX else OTHER

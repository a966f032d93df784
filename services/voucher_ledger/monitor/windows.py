"""Windows over a campaign's buckets, in record time: right whether processing lags or history is replayed. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from voucher_ledger.monitor.buckets import MINUTE_SECONDS, QUARTER_SECONDS, Bucket, Cell, added, merged

DAY_SECONDS = 86_400
GROWTH_QUARTERS = 4
# A vertical that sold less than this in the window of the day before has no growth worth telling: two of one is chance.
GROWTH_BASE_MIN = 20

Buckets = Mapping[int, Bucket]


class Window(NamedTuple):
    """A span of record time from `start` (inclusive) to `end` (exclusive), in seconds since 1970."""

    start: int
    end: int
    bucket: Bucket


@dataclass(frozen=True, slots=True)
class Growth:
    """One name's count in a window against the same window a day before.

    `ratio` is None on too small a base, or where the window of the day before is not whole.
    """

    name: str
    count: int
    count_day_before: int
    ratio: float | None


def tumbling(minutes: Buckets, width_seconds: int, start: int, end: int) -> list[Window]:
    """Windows of whole minutes that follow one another from `start`, which is aligned downwards, until `end`.

    Raises ValueError where the width is no multiple of a minute.
    """
    if width_seconds <= 0 or width_seconds % MINUTE_SECONDS:
        raise ValueError(f"a window of {width_seconds} s is no whole number of minutes")
    first = start - start % width_seconds
    return [
        Window(at, at + width_seconds, merged(_between(minutes, at, at + width_seconds)))
        for at in range(first, end, width_seconds)
    ]


def last(minutes: Buckets, width_seconds: int, end: int) -> Window:
    """The window of whole minutes that ends with the minute of `end`."""
    edge = end - end % MINUTE_SECONDS + MINUTE_SECONDS
    return Window(edge - width_seconds, edge, merged(_between(minutes, edge - width_seconds, edge)))


def per_second(minutes: Buckets, types: Iterable[str], start: int, end: int) -> list[int]:
    """Outcomes of `types` in each second from `start` until `end` (exclusive); 0 where seconds are no longer kept."""
    wanted = tuple(types)
    counts = [0] * max(0, end - start)
    for at in range(start - start % MINUTE_SECONDS, end, MINUTE_SECONDS):
        bucket = minutes.get(at)
        if bucket is None:
            continue
        for type_ in wanted:
            for second, count in enumerate(bucket["seconds"].get(type_, ())):
                if start <= at + second < end:
                    counts[at + second - start] = added(counts[at + second - start], count)
    return counts


def hopping(counts: Sequence[int], width: int, hop: int) -> list[int]:
    """Sums of windows of `width` values that end at the last value, at `hop` values before it, and so on; oldest first.

    Only whole windows: none reaches back before the first value.
    """
    if width <= 0 or hop <= 0:
        raise ValueError("width and hop are at least 1")
    ends = range(len(counts), width - 1, -hop)
    return [sum(counts[end - width : end]) for end in ends][::-1]


def growth(quarters: Buckets, as_of: int, type_: str, starts_at: int = 0) -> tuple[list[Growth], list[Growth]]:
    """Counts of `type_` by category and by city tier in the last whole hour of quarters, against the day before's.

    There is no ratio where that hour is not wholly past `starts_at` and the first quarter held: it would be against
    less than an hour.
    """
    end = as_of - as_of % QUARTER_SECONDS
    start = end - GROWTH_QUARTERS * QUARTER_SECONDS
    today = merged(_between(quarters, start, end, QUARTER_SECONDS))
    before = merged(_between(quarters, start - DAY_SECONDS, end - DAY_SECONDS, QUARTER_SECONDS))
    is_whole = start - DAY_SECONDS >= max(starts_at, min(quarters, default=start))
    return (
        _grown(today["categories"].get(type_, {}), before["categories"].get(type_, {}), is_whole=is_whole),
        _grown(today["tiers"].get(type_, {}), before["tiers"].get(type_, {}), is_whole=is_whole),
    )


def _grown(today: Mapping[str, Cell], before: Mapping[str, Cell], *, is_whole: bool) -> list[Growth]:
    found = []
    for name in sorted(today.keys() | before.keys()):
        count = today[name][0] if name in today else 0
        base = before[name][0] if name in before else 0
        found.append(Growth(name, count, base, count / base if is_whole and base >= GROWTH_BASE_MIN else None))
    return found


def _between(buckets: Buckets, start: int, end: int, step: int = MINUTE_SECONDS) -> Iterator[Bucket]:
    # Whichever is shorter: a day has more minutes than a campaign has buckets.
    if (end - start) // step > len(buckets):
        yield from (bucket for at, bucket in buckets.items() if start <= at < end)
        return
    yield from (buckets[at] for at in range(start, end, step) if at in buckets)

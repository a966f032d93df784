"""Windows from buckets against windows counted row by row: in any order of delivery, with anything delivered again."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.demand_given import START, demand, row
from voucher_ledger.monitor import windows
from voucher_ledger.monitor.buckets import count_of, merged
from voucher_ledger.monitor.demand import Demand
from voucher_ledger.monitor.store import Store

SPAN = 300
TYPES = ("voucher.granted", "voucher.rejected", "order.reserved")

rows = st.builds(
    row,
    st.integers(0, SPAN - 1),
    st.sampled_from(TYPES),
    st.integers(1, 9),
    category=st.sampled_from([None, "film", "hotel"]),
    city_tier=st.sampled_from([None, 1, 6]),
    value_minor=st.integers(0, 999),
)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[Demand], list[Demand]]:
    """Batches of two sources, and an order in which they may be delivered: each source's own order is kept, and after a
    crash a source is delivered again from some batch on.
    """
    batches = [
        [demand(part, 10 * (number + 1), f"claim.commands/{source}") for number, part in enumerate(parts)]
        for source, parts in enumerate(draw(st.tuples(*[st.lists(st.lists(rows, max_size=4), max_size=5)] * 2)))
    ]  # fmt: skip
    again = [draw(st.integers(0, len(of_source))) for of_source in batches]
    queues = [[*of_source, *of_source[start:]] for of_source, start in zip(batches, again, strict=True)]
    delivered: list[Demand] = []
    while any(queues):
        delivered.append(draw(st.sampled_from([queue for queue in queues if queue])).pop(0))
    return [batch for of_source in batches for batch in of_source], delivered


@settings(max_examples=30, deadline=None)
@given(deliveries(), st.integers(0, 12))
def test_each_row_is_counted_once_in_every_window(told: tuple[list[Demand], list[Demand]], crash_after: int) -> None:
    batches, delivered = told
    store = Store()
    for number, batch in enumerate(delivered):
        if number == crash_after:  # what the changelog holds is all that is left
            held = [(key, bucket) for key, bucket in store.changes().items() if bucket is not None]
            store = Store()
            store.load(held)
        store.count(0, batch)
    kept = store.campaigns([0]).get("grey", {"minute": {}, "quarter": {}, "total": {}})
    by_hand = Counter[tuple[str, int]]()
    for batch in batches:
        for one in batch.rows:
            by_hand[one.type, one.at - START] += one.count
    for type_ in TYPES:
        seconds = [by_hand[type_, at] for at in range(SPAN)]
        assert windows.per_second(kept["minute"], (type_,), START, START + SPAN) == seconds
        hops = windows.hopping(seconds, 60, 10)
        assert hops == [sum(seconds[at : at + 60]) for at in range(0, SPAN - 59, 10)]
        tumbled = windows.tumbling(kept["minute"], 120, START, START + SPAN)
        assert [count_of(window.bucket, type_) for window in tumbled] == [
            sum(seconds[at : at + 120]) for at in range(0, SPAN, 120)
        ]
    assert merged(kept["minute"].values()) == merged(kept["quarter"].values()) == merged(kept["total"].values())


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 12), st.integers(1, 12))
def test_hopping_windows_as_wide_as_they_hop_cover_each_second_once(counts: list[int], width: int, hop: int) -> None:
    found = windows.hopping(counts, width, hop)
    assert len(found) == max(0, (len(counts) - width) // hop + 1)
    if width == hop:
        assert sum(found) == sum(counts[len(counts) % width :])

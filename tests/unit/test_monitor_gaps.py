"""Faust's commits over the gaps that transactions leave: the offset handed to Kafka goes past all that was counted."""

import asyncio
from collections import defaultdict
from typing import Any, cast

from faust.transport import consumer
from faust.types import TP

from voucher_ledger.core.demand import DEMAND_TOPIC
from voucher_ledger.monitor.faust_app import _ReadCommittedConsumer

PLACE = TP(DEMAND_TOPIC, 0)


def committed_after(records: list[int], gaps: list[tuple[int, int]]) -> int | None:
    """What would be committed once these offsets are acknowledged. A gap is told as Faust does: from the offset after
    the record before it to that of the record after it.
    """
    # Without __init__, which makes event loops and threads; these four are all that it counts with.
    counting: Any = object.__new__(_ReadCommittedConsumer)
    counting._gap = defaultdict(cast("Any", consumer).IntervalTree)
    counting._acked = {PLACE: [*records]}
    counting._acked_index = {PLACE: {*records}}
    counting._committed_offset = {PLACE: None}

    async def tell_gaps() -> None:
        for low, high in gaps:
            await counting._add_gap(PLACE, low, high)

    asyncio.run(tell_gaps())
    offset: int | None = counting._new_offset(PLACE)
    return offset


def test_a_commit_goes_past_every_marker_that_lies_between_what_was_counted() -> None:
    assert committed_after([0, 2, 4, 7], [(1, 2), (3, 4), (5, 7)]) == 8


def test_a_commit_stops_before_what_was_not_counted() -> None:
    assert committed_after([0, 2, 6], [(1, 2)]) == 3

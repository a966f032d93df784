"""Orders that took a voucher one after the other, told by partitions that lag and clocks that go back."""

from collections import Counter
from itertools import permutations
from typing import Any

import pytest

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.replay.clock_order import in_clock_order, stand_of
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.fold import Fold, rank_of
from voucher_ledger.replay.fold_waiting import FoldedPlace
from voucher_ledger.replay.rebuild_numbers import number_grants
from voucher_ledger.replay.rebuild_transfers import Movements
from voucher_ledger.replay.rebuild_turns import in_turn

WHOLE: dict[str, int] = {}
Events = list[dict[str, Any]]


def event(type_: str, place: str, time_ms: int, **data: Any) -> dict[str, Any]:
    """The answer to the command at `place`, which is "partition/offset"."""
    topic = {"voucher": "claim"}.get(type_.split(".", maxsplit=1)[0], type_.split(".", maxsplit=1)[0])
    known = {"campaign_id": "c", "user_id": "u", **data}
    return {"id": f"{topic}.commands/{place}/0", "type": type_, "time": rfc3339(time_ms), "data": known}


def granted(voucher_id: str = "v", place: str = "0/0", time_ms: int = 0) -> dict[str, Any]:
    names = {"voucher_id": voucher_id, "command_id": place, "expires_at": rfc3339(99)}
    return event("voucher.granted", place, time_ms, **names, face_value_minor=1_000)


def reserved(order_id: str, place: str, time_ms: int, amount_minor: int, discount_minor: int) -> dict[str, Any]:
    names = {"order_id": order_id, "voucher_id": "v", "merchant_id": "m", "category": "tea"}
    amounts = {"amount_minor": amount_minor, "discount_minor": discount_minor}
    return event("order.reserved", place, time_ms, **names, **amounts, expires_at=rfc3339(99))


def cancelled(order_id: str, place: str, time_ms: int) -> dict[str, Any]:
    return event("order.cancelled", place, time_ms, order_id=order_id)


def settled(order_id: str, place: str, time_ms: int, paid_minor: int, discount_minor: int) -> dict[str, Any]:
    names = {"order_id": order_id, "payment_id": f"p-{order_id}"}
    return event("payment.settled", place, time_ms, **names, paid_minor=paid_minor, discount_minor=discount_minor)


def refunded(order_id: str, place: str, time_ms: int, paid_minor: int, discount_minor: int) -> dict[str, Any]:
    names = {"order_id": order_id, "payment_id": f"p-{order_id}", "refund_id": f"r-{order_id}"}
    amounts = {"amount_minor": paid_minor, "discount_returned_minor": discount_minor}
    return event("payment.refunded", place, time_ms, **names, **amounts, voucher_restored=True)


def folded(events: Events) -> Fold:
    fold = Fold()
    for taken in sorted(events, key=rank_of):
        fold.apply(taken)
    fold.finish()
    assert fold.faults == []
    return fold


def bought(order_id: str, places: str, times_ms: tuple[int, int, int], discount_minor: int) -> Events:
    """An order that paid nothing, and gave its voucher back."""
    at = [f"{place}/{time_ms}" for place, time_ms in zip(places, times_ms, strict=True)]
    return [
        reserved(order_id, at[0], times_ms[0], discount_minor, discount_minor),
        settled(order_id, at[1], times_ms[1], 0, discount_minor),
        refunded(order_id, at[2], times_ms[2], 0, discount_minor),
    ]


FAST = bought("fast", "011", (10, 20, 30), 300)


@pytest.mark.parametrize(
    ("slow", "last"),
    [
        # Appended before `fast`, decided after it, for its partition lagged: it took all there was, or less.
        ([reserved("slow", "1/0", 5, 5_000, 300), settled("slow", "2/0", 40, 4_700, 300)], "slow"),
        ([reserved("slow", "1/0", 5, 100, 100), settled("slow", "2/0", 40, 0, 100)], "slow"),
        ([reserved("slow", "1/0", 5, 5_000, 300), cancelled("slow", "2/0", 6)], "slow"),
        ([reserved("slow", "1/0", 50, 5_000, 1_000), cancelled("slow", "2/0", 60)], "fast"),
        # As much: the one that keeps the voucher is the last, else the end of each says when it was.
        ([reserved("slow", "1/0", 5, 300, 300)], "slow"),
        (bought("slow", "122", (5, 40, 50), 300), "slow"),
        ([reserved("slow", "1/0", 5, 200, 200), cancelled("slow", "2/0", 40)], "slow"),
        # In one partition of orders, or of payments, a clock that goes back says nothing.
        ([reserved("slow", "0/11", 1, 200, 200), cancelled("slow", "2/0", 2)], "slow"),
        ([reserved("slow", "0/9", 90, 200, 200), cancelled("slow", "2/0", 95)], "fast"),
        ([reserved("slow", "2/0", 1, 200, 200), cancelled("slow", "0/99", 2)], "slow"),
        ([reserved("slow", "2/0", 1, 300, 300), *bought("slow", "211", (1, 98, 99), 300)[1:]], "slow"),
        ([reserved("slow", "2/0", 60, 300, 300), *bought("slow", "213", (60, 19, 70), 300)[1:]], "fast"),
    ],
)
def test_the_order_of_orders_is_told_by_what_they_took_then_by_offsets_and_then_by_their_ends(
    slow: Events, last: str
) -> None:
    events = [granted(), *FAST, *slow]
    for told in permutations(events) if len(events) < 7 else (events, events[::-1]):
        assert in_turn(folded(list(told)), told, WHOLE)[-1] == last


def test_the_transfers_of_two_orders_are_those_that_were_decided() -> None:
    slow = [reserved("slow", "1/0", 5, 100, 100), settled("slow", "2/0", 40, 0, 100)]
    events = [granted(), *FAST, *slow]
    moved = Movements(Counter(), WHOLE).of_users(folded(events), events)
    assert [(move.order_id, move.debit[0], move.credit[0], move.amount_minor) for move in moved] == [
        (None, "lease", "granted", 1_000),
        ("fast", "granted", "held", 1_000),
        ("fast", "held", "spent", 300),
        ("fast", "held", "pool", 700),
        ("fast", "spent", "granted", 300),
        ("slow", "granted", "held", 300),
        ("slow", "held", "spent", 100),
        ("slow", "held", "pool", 200),
    ]


def test_a_share_of_an_order_is_all_that_its_voucher_would_have_taken_off() -> None:
    slow = [reserved("slow", "1/0", 5, 600, 300), cancelled("slow", "2/0", 6)]
    events = [granted(), *FAST, *slow]
    assert in_turn(folded(events), events, {"c": 5_000}) == ["slow", "fast"]
    assert in_turn(folded(events), events, {"c": 6_000}) == ["fast", "slow"]


def test_an_order_alone_that_took_more_than_its_voucher_was_worth_is_refused_by_its_voucher() -> None:
    alone = [granted(), reserved("dear", "1/0", 5, 1_001, 1_001)]
    with pytest.raises(Refused, match=r"\(voucher v: dear\)"):
        in_turn(folded(alone), alone, WHOLE)
    fit = [granted(), reserved("fit", "1/0", 5, 1_001, 1_000)]
    assert in_turn(folded(fit), fit, WHOLE) == []


@pytest.mark.parametrize(
    "slow",
    [
        [reserved("slow", "1/0", 5, 1_100, 1_100), cancelled("slow", "2/0", 6)],  # more than the voucher is worth
        [reserved("slow", "1/0", 5, 900, 400), cancelled("slow", "2/0", 6)],  # less than it would have taken off
        [reserved("slow", "0/5", 5, 100, 100), settled("slow", "1/1", 6, 0, 100)],  # kept before another had it
    ],
)
def test_orders_that_can_have_come_in_no_order_are_refused_by_their_voucher(slow: Events) -> None:
    events = [granted(), granted("w", "0/1"), *FAST, *slow]
    with pytest.raises(Refused, match=r"\(voucher v: (fast, )?slow\)"):
        in_turn(folded(events), events, WHOLE)


def test_a_partitions_things_keep_their_order_and_those_of_several_are_merged_by_time() -> None:
    events = [granted("a", "0/1", 50), granted("b", "0/2", 10), granted("c", "1/0", 20), granted("d", "1/7", 60)]
    for told in permutations(events):
        assert [found["data"]["voucher_id"] for found in in_clock_order(told, stand_of)] == ["c", "a", "b", "d"]


def test_vouchers_and_places_are_numbered_in_the_order_of_a_partition_whatever_its_clock() -> None:
    events = [granted("a", "0/1", 50), granted("b", "0/2", 10)]
    fold = folded(events)
    for ticket, time_ms in enumerate((50, 10)):
        place = FoldedPlace("c", 0, ticket, "u", 0, f"{ticket}", None, None, time_ms, None, ticket)
        fold.waiting.places[place.place_key] = place
    number_grants(fold, events[::-1])
    assert {name: voucher.ordinal for name, voucher in fold.vouchers.items()} == {"a": 1, "b": 2}
    assert [place.ordinal for place in fold.waiting.places.values()] == [1, 2]

"""Several vouchers on one order, given / when / then: all of them are held, or none and for which one's reason."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.given import HOUR_MS, NOW_MS, campaign, causes, command, outcome, reservation, transfers, voucher
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.ledger.model import Campaign, Reservation, Voucher
from voucher_ledger.orders.decide import decide
from voucher_ledger.orders.evolve import evolve
from voucher_ledger.orders.state import Orders

MORE = ["v-2", "v-3"]
RESERVE = {
    "order_id": "o-1",
    "user_id": "u-1",
    "voucher_id": "v-1",
    "more_voucher_ids": MORE,
    "merchant_id": "m-1",
    "category": "food",
    "city_tier": 3,
    "amount_minor": 6000,
}
ORDER = {"order_id": "o-1", "user_id": "u-1"}
KNOWN = {"voucher_id": "v-1", "more_voucher_ids": MORE, "campaign_id": "spring"}
DUE_MS = NOW_MS + HOUR_MS
ALL_HELD = [("granted/1", "held/1", 1, 2500), ("granted/2", "held/2", 1, 2500), ("granted/3", "held/3", 1, 2500)]
THREE = campaign(vouchers_per_order_max=3)


def three(**third: Any) -> list[Voucher]:
    """`v-1` to `v-3`, each on a shard of its own; `third` is what is odd about the last."""
    return [
        voucher(shard=1),
        voucher(voucher_id="v-2", ordinal=2),
        voucher(**{"voucher_id": "v-3", "ordinal": 3, "shard": 3, **third}),
    ]


def given(
    *rows: Voucher | Reservation, rules: Campaign = THREE, food_left_minor: int | None = None, **others: Campaign
) -> Orders:
    state = Orders(Journal("order.commands"), {"spring": rules, **others})
    for row in rows:
        if isinstance(row, Voucher):
            state.vouchers[row.voucher_id] = row
        else:
            state.reservations[row.order_id] = row
    if food_left_minor is not None:
        state.category_left_minor["spring", "food"] = food_left_minor
    return state


def held(state: str = "held") -> Orders:
    """Order `o-1`, 60.00, all of it taken off by three vouchers."""
    made = reservation(
        state=state,
        amount_minor=6000,
        discount_minor=6000,
        more_voucher_ids=tuple(MORE),
        voucher_discounts_minor=(2500, 2500, 1000),
    )
    vouchers = three()
    for each in vouchers:
        each.state = "held"
    return given(made, *vouchers, food_left_minor=10)


def when(state: Orders, asked: Command) -> Event:
    return outcome(decide, evolve, state, asked)


def reserve(offset: int = 40, at_ms: int = NOW_MS, **changes: Any) -> Command:
    return command("order.reserve", RESERVE | changes, at_ms=at_ms, offset=offset)


def test_all_vouchers_are_held_and_each_takes_of_what_the_others_leave() -> None:
    state = given(*three(), food_left_minor=6000)
    event = when(state, reserve())
    taken = {"discount_minor": 6000, "voucher_discounts_minor": [2500, 2500, 1000], "expires_at": rfc3339(DUE_MS)}
    assert event == Event("order.reserved", {**RESERVE, "campaign_id": "spring", **taken, "command_id": "c-40"})
    assert transfers(state.journal) == ALL_HELD
    assert causes(state.journal) == [
        (voucher_id, "o-1", "order.commands", "5", "40", str(index)) for index, voucher_id in enumerate(["v-1", *MORE])
    ]
    assert {changed.voucher_id: changed.state for changed in state.changed_vouchers.values()} == dict.fromkeys(
        ["v-1", *MORE], "held"
    )
    (made,) = state.reserved
    assert made.shares() == (("v-1", 2500), ("v-2", 2500), ("v-3", 1000))
    assert (made.discount_minor, made.campaign_id) == (6000, "spring")
    assert state.category_committed_minor == {("spring", "food"): 6000}


def test_vouchers_apply_in_the_order_in_which_they_are_sent() -> None:
    rules = campaign(voucher_kind="percent_off", percent_bp=1000, vouchers_per_order_max=3)
    vouchers = three(face_value_minor=400)
    event = when(given(*vouchers, rules=rules), reserve(voucher_id="v-3", more_voucher_ids=["v-1", "v-2"]))
    assert event.data["voucher_discounts_minor"] == [400, 560, 504]
    assert event.data["discount_minor"] == 1464


def of_another_campaign() -> Orders:
    other = campaign(campaign_id="other", vouchers_per_order_max=10)
    return given(*three(campaign_id="other"), other=other)


REFUSALS: dict[str, tuple[str, str | None, Callable[[], Orders], Command]] = {
    "no such voucher": ("unknown_voucher", "v-3", lambda: given(*three()[:2]), reserve()),
    "another's": ("not_your_voucher", "v-3", lambda: given(*three(user_id="u-2")), reserve()),
    "expired": ("voucher_expired", "v-3", lambda: given(*three(state="expired")), reserve()),
    "due to expire": ("voucher_expired", "v-3", lambda: given(*three(expires_at_ms=NOW_MS)), reserve()),
    "spent": ("voucher_used", "v-3", lambda: given(*three(state="spent")), reserve()),
    "held by another order": ("voucher_held", "v-3", lambda: given(*three(state="held")), reserve()),
    "of another campaign": ("conflict", "v-3", of_another_campaign, reserve()),
    "takes nothing off": ("conflict", "v-3", lambda: given(*three()), reserve(amount_minor=5000)),
    "worth nothing": ("conflict", "v-3", lambda: given(*three(face_value_minor=0)), reserve()),
    "one too many": ("conflict", None, lambda: given(*three(), rules=campaign(vouchers_per_order_max=2)), reserve()),
    "a campaign of one an order": (
        "conflict",
        None,
        lambda: given(*three(), rules=campaign()),
        reserve(more_voucher_ids=["v-2"]),
    ),
    "category": (
        "category_not_allowed",
        None,
        lambda: given(*three(), rules=campaign(vouchers_per_order_max=3, categories=frozenset(["film"]))),
        reserve(),
    ),
    "minimum": (
        "below_min_spend",
        None,
        lambda: given(*three(), rules=campaign(vouchers_per_order_max=3, min_spend_minor=6001)),
        reserve(),
    ),
    "category budget, for all together": (
        "category_budget_exhausted",
        None,
        lambda: given(*three(), food_left_minor=5999),
        reserve(),
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_one_unfit_voucher_refuses_the_order_and_none_is_held(name: str) -> None:
    reason, refused_voucher_id, state, asked = REFUSALS[name]
    event = when(state(), asked)
    assert (event.type, event.data["reason"]) == ("order.rejected", reason)
    assert event.data.get("refused_voucher_id") == refused_voucher_id
    assert asked.data.items() <= event.data.items()
    assert event.data["campaign_id"] == "spring"
    if refused_voucher_id is not None:
        assert f"voucher {refused_voucher_id} " in event.data["detail"].replace(";", " ")


def test_the_first_voucher_refuses_like_any_other() -> None:
    event = when(given(*three()[1:]), reserve())
    assert (event.data["reason"], event.data["refused_voucher_id"]) == ("unknown_voucher", "v-1")
    assert "campaign_id" not in event.data


def test_the_minimum_is_asked_of_the_order_and_not_of_what_is_left_of_it() -> None:
    rules = campaign(vouchers_per_order_max=3, min_spend_minor=6000)
    assert when(given(*three(), rules=rules, food_left_minor=6000), reserve()).type == "order.reserved"


@pytest.mark.parametrize("state", ["held", "cancelled", "expired", "settled", "refunded"])
def test_a_reservation_sent_again_gets_the_stored_answer(state: str) -> None:
    first = when(given(*three()), reserve())
    assert when(held(state), reserve()) == Event("order.reserved", {**first.data, "duplicate": True})


@pytest.mark.parametrize("more", [["v-3", "v-2"], ["v-2"], ["v-2", "v-4"], None])
def test_the_same_order_with_other_vouchers_is_a_conflict(more: list[str] | None) -> None:
    data = RESERVE | {"more_voucher_ids": more}
    asked = command("order.reserve", {name: value for name, value in data.items() if value is not None})
    assert when(held(), asked).data["reason"] == "conflict"


def test_an_order_of_one_sent_again_with_more_vouchers_is_a_conflict() -> None:
    state = given(reservation(amount_minor=6000), *three())
    assert when(state, reserve()).data["reason"] == "conflict"


@pytest.mark.parametrize("verb", ["cancel", "expire"])
def test_a_released_hold_gives_all_vouchers_back(verb: str) -> None:
    state = held()
    asked = command(f"order.{verb}", ORDER, at_ms=DUE_MS, offset=41)
    event = when(state, asked)
    assert event.data == {**ORDER, **KNOWN, "command_id": "c-41"}
    assert transfers(state.journal) == [(credit, debit, *moved) for debit, credit, *moved in ALL_HELD]
    assert [cause[-1] for cause in causes(state.journal)] == ["0", "1", "2"]
    assert {changed.state for changed in state.changed_vouchers.values()} == {"granted"}
    assert len(state.changed_vouchers) == 3
    assert state.category_committed_minor == {("spring", "food"): -6000}
    assert when(state, asked) == Event(event.type, {**event.data, "duplicate": True})


def test_a_voucher_of_a_refused_order_can_be_used_in_the_same_batch() -> None:
    state = given(*three(state="held"))
    refused = when(state, reserve(40))
    alone = when(state, reserve(41, order_id="o-2", voucher_id="v-2", more_voucher_ids=["v-1"]))
    again = when(state, reserve(42, order_id="o-3", more_voucher_ids=["v-2"]))
    assert [event.data.get("reason") for event in (refused, alone, again)] == ["voucher_held", None, "voucher_held"]
    assert again.data["refused_voucher_id"] == "v-1"
    assert len(state.journal.rows) == 2

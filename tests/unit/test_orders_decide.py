"""Reservations, cancels and expiries of orders, given / when / then: every reason, duplicate, kind and movement."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.given import HOUR_MS, NOW_MS, campaign, causes, command, outcome, reservation, transfers, voucher
from tests.unit.reasons import reasons_of
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.ledger.model import Campaign, Reservation, Voucher
from voucher_ledger.orders.decide import decide
from voucher_ledger.orders.evolve import evolve
from voucher_ledger.orders.state import Orders

RESERVE = {
    "order_id": "o-1",
    "user_id": "u-1",
    "voucher_id": "v-1",
    "merchant_id": "m-1",
    "category": "food",
    "city_tier": 3,
    "amount_minor": 5000,
}
ORDER = {"order_id": "o-1", "user_id": "u-1"}
KNOWN = {"voucher_id": "v-1", "campaign_id": "spring"}
DUE_MS = NOW_MS + HOUR_MS


def given(*rows: Voucher | Reservation, rules: Campaign | None = None, food_left_minor: int | None = None) -> Orders:
    state = Orders(Journal("order.commands"), {"spring": campaign() if rules is None else rules})
    for row in rows:
        if isinstance(row, Voucher):
            state.vouchers[row.voucher_id] = row
        else:
            state.reservations[row.order_id] = row
            state.vouchers.setdefault(row.voucher_id, voucher(state="held"))
    if food_left_minor is not None:
        state.category_left_minor["spring", "food"] = food_left_minor
    return state


def when(state: Orders, asked: Command) -> Event:
    return outcome(decide, evolve, state, asked)


def reserve(offset: int = 40, at_ms: int = NOW_MS, **changes: Any) -> Command:
    return command("order.reserve", RESERVE | changes, at_ms=at_ms, offset=offset)


def cancel(offset: int = 41, at_ms: int = NOW_MS, **changes: Any) -> Command:
    return command("order.cancel", ORDER | changes, at_ms=at_ms, offset=offset)


def expire(offset: int = 42, at_ms: int = DUE_MS, **changes: Any) -> Command:
    return command("order.expire", ORDER | changes, at_ms=at_ms, offset=offset)


def ended(state: str, closing_reason: str | None = None) -> Callable[[], Orders]:
    return lambda: given(reservation(state=state, closing_reason=closing_reason))


FOOD_ONLY = campaign(categories=frozenset(["food"]))

REFUSALS: dict[str, tuple[str, Callable[[], Orders], Command]] = {
    "no such voucher": ("unknown_voucher", given, reserve()),
    "another's voucher": ("not_your_voucher", lambda: given(voucher(user_id="u-2")), reserve()),
    "expired": ("voucher_expired", lambda: given(voucher(state="expired")), reserve()),
    "due to expire": ("voucher_expired", lambda: given(voucher(expires_at_ms=NOW_MS)), reserve()),
    "spent": ("voucher_used", lambda: given(voucher(state="spent")), reserve()),
    "held": ("voucher_held", lambda: given(voucher(state="held")), reserve()),
    "category": ("category_not_allowed", lambda: given(voucher(), rules=FOOD_ONLY), reserve(category="film")),
    "minimum": ("below_min_spend", lambda: given(voucher(), rules=campaign(min_spend_minor=5001)), reserve()),
    "category budget": ("category_budget_exhausted", lambda: given(voucher(), food_left_minor=2499), reserve()),
    "category before minimum": (
        "category_not_allowed",
        lambda: given(voucher(), rules=campaign(categories=frozenset(["film"]), min_spend_minor=5001)),
        reserve(),
    ),
    "cancel nothing": ("unknown_order", given, cancel()),
    "cancel another's": ("unknown_order", ended("held"), cancel(user_id="u-2")),
    "cancel for another reason": ("conflict", ended("cancelled", "changed my mind"), cancel(reason="too slow")),
    "cancel now without a reason": ("conflict", ended("cancelled", "changed my mind"), cancel()),
    "cancel an expired one": ("hold_expired", ended("expired"), cancel()),
    "cancel a settled one": ("order_not_open", ended("settled"), cancel()),
    "cancel a refunded one": ("order_not_open", ended("refunded"), cancel(reason="too slow")),
    "expire nothing": ("unknown_order", given, expire()),
    "expire another's": ("unknown_order", ended("held"), expire(user_id="u-2")),
    "expire too early": ("conflict", ended("held"), expire(at_ms=DUE_MS - 1)),
    "expire a cancelled one": ("order_not_open", ended("cancelled"), expire()),
    "expire a settled one": ("order_not_open", ended("settled"), expire()),
    "expire a refunded one": ("order_not_open", ended("refunded"), expire()),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_gives_its_reason_and_changes_nothing(name: str) -> None:
    reason, state, asked = REFUSALS[name]
    event = when(state(), asked)
    assert (event.type, event.data["reason"]) == ("order.rejected", reason)
    assert ORDER.keys() <= event.data.keys()
    if reason not in ("unknown_voucher", "unknown_order"):
        assert KNOWN.items() <= event.data.items()


def test_every_reason_of_the_contract_is_tried() -> None:
    assert {reason for reason, _, _ in REFUSALS.values()} == reasons_of("order.rejected")


@pytest.mark.parametrize("at_ms", [NOW_MS, NOW_MS + 23 * HOUR_MS - 1])
def test_a_reservation_holds_the_whole_voucher(at_ms: int) -> None:
    state = given(voucher())
    event = when(state, reserve(at_ms=at_ms))
    expected = {"campaign_id": "spring", "discount_minor": 2500, "expires_at": rfc3339(at_ms + HOUR_MS)}
    assert event == Event("order.reserved", {**RESERVE, **expected, "command_id": "c-40"})
    assert transfers(state.journal) == [("granted/2", "held/2", 1, 2500)]
    assert causes(state.journal) == [("v-1", "o-1", "order.commands", "5", "40", "0")]
    assert [held.state for held in state.changed_vouchers.values()] == ["held"]
    assert [(made.state, made.discount_minor) for made in state.reserved] == [("held", 2500)]


@pytest.mark.parametrize("kind", ["free_order", "amount_off"])
@pytest.mark.parametrize(("amount_minor", "discount_minor"), [(1, 1), (2499, 2499), (2500, 2500), (10**15, 2500)])
def test_an_amount_is_taken_off_up_to_the_value(kind: str, amount_minor: int, discount_minor: int) -> None:
    event = when(given(voucher(), rules=campaign(voucher_kind=kind)), reserve(amount_minor=amount_minor))
    assert event.data["discount_minor"] == discount_minor


@pytest.mark.parametrize(
    ("amount_minor", "percent_bp", "discount_minor"),
    [(999, 1000, 99), (1, 9999, 0), (25_009, 1000, 2500), (25_010, 1000, 2500), (10**15, 10_000, 2500), (7, 10_000, 7)],
)
def test_a_percentage_is_rounded_down_and_capped(amount_minor: int, percent_bp: int, discount_minor: int) -> None:
    state = given(voucher(), rules=campaign(voucher_kind="percent_off", percent_bp=percent_bp))
    assert when(state, reserve(amount_minor=amount_minor)).data["discount_minor"] == discount_minor
    assert transfers(state.journal) == [("granted/2", "held/2", 1, 2500)]


def test_a_voucher_restored_by_a_refund_is_worth_what_it_holds_now() -> None:
    state = given(voucher(face_value_minor=700))
    assert when(state, reserve()).data["discount_minor"] == 700
    assert transfers(state.journal) == [("granted/2", "held/2", 1, 700)]


@pytest.mark.parametrize("campaign_state", ["paused", "closed"])
def test_a_granted_voucher_outlives_its_campaign(campaign_state: str) -> None:
    assert when(given(voucher(), rules=campaign(state=campaign_state)), reserve()).type == "order.reserved"


def test_the_minimum_and_the_category_budget_may_be_met_exactly() -> None:
    state = given(voucher(), rules=campaign(min_spend_minor=5000), food_left_minor=2500)
    assert when(state, reserve()).type == "order.reserved"
    assert state.category_left_minor == {("spring", "food"): 0}
    assert state.category_committed_minor == {("spring", "food"): 2500}


@pytest.mark.parametrize("state", ["held", "cancelled", "expired", "settled", "refunded"])
def test_a_reservation_sent_again_gets_the_stored_answer_whatever_became_of_it(state: str) -> None:
    event = when(given(reservation(state=state)), reserve(at_ms=NOW_MS + 99 * HOUR_MS))
    stored = {**KNOWN, "discount_minor": 1800, "expires_at": rfc3339(DUE_MS)}
    assert event == Event("order.reserved", {**RESERVE, **stored, "command_id": "c-40", "duplicate": True})


def test_a_reservation_sent_again_in_its_own_batch_equals_the_first() -> None:
    state = given(voucher())
    first = when(state, reserve())
    assert when(state, reserve()) == Event("order.reserved", {**first.data, "duplicate": True})
    assert len(state.reserved) == len(state.journal.rows) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"user_id": "u-2"},
        {"voucher_id": "v-2"},
        {"merchant_id": "m-2"},
        {"category": "film"},
        {"city_tier": 4},
        {"amount_minor": 5001},
    ],
)
def test_the_same_order_with_other_content_is_a_conflict(changes: dict[str, Any]) -> None:
    event = when(given(reservation()), reserve(**changes))
    assert (event.type, event.data["reason"]) == ("order.rejected", "conflict")


def test_the_same_order_without_its_city_tier_is_a_conflict() -> None:
    asked = command("order.reserve", {name: value for name, value in RESERVE.items() if name != "city_tier"})
    assert when(given(reservation()), asked).data["reason"] == "conflict"


RELEASES = {
    "cancelled": ("order.cancelled", cancel(reason="too slow")),
    "cancelled late": ("order.cancelled", cancel(at_ms=DUE_MS + 1)),
    "expired": ("order.expired", expire(reason="not paid")),
}


@pytest.mark.parametrize("name", RELEASES)
def test_a_released_hold_gives_the_voucher_and_the_category_budget_back(name: str) -> None:
    type_, asked = RELEASES[name]
    state = given(reservation(), food_left_minor=10)
    event = when(state, asked)
    assert event == Event(type_, {**asked.data, **KNOWN, "command_id": asked.id})
    assert transfers(state.journal) == [("held/2", "granted/2", 1, 2500)]
    assert causes(state.journal) == [("v-1", "o-1", "order.commands", "5", str(asked.offset), "0")]
    assert [held.state for held in state.changed_vouchers.values()] == ["granted"]
    assert [made.state for made in state.changed_reservations.values()] == [type_.removeprefix("order.")]
    assert state.category_left_minor == {("spring", "food"): 1810}
    assert state.category_committed_minor == {("spring", "food"): -1800}


@pytest.mark.parametrize("name", RELEASES)
def test_a_release_sent_again_changes_nothing(name: str) -> None:
    _, asked = RELEASES[name]
    state = given(reservation())
    first = when(state, asked)
    assert when(state, asked) == Event(first.type, {**first.data, "duplicate": True})
    assert len(state.journal.rows) == 1


def test_an_expiry_sent_again_for_another_reason_is_answered_with_the_first() -> None:
    event = when(ended("expired", "not paid")(), expire(reason="swept"))
    assert (event.data["reason"], event.data["duplicate"]) == ("not paid", True)


def test_a_batch_sees_its_own_orders_and_writes_each_row_once() -> None:
    state = given(voucher(), food_left_minor=2500)
    commands = [reserve(40), reserve(41, order_id="o-2"), cancel(42), reserve(43, order_id="o-2")]
    answers = [when(state, asked) for asked in commands]
    assert [event.data.get("reason") for event in answers] == [None, "voucher_held", None, None]
    assert [(made.order_id, made.state) for made in state.reserved] == [("o-1", "cancelled"), ("o-2", "held")]
    assert state.changed_reservations == {}
    assert state.category_committed_minor == {("spring", "food"): 2500}
    assert [row[:2] for row in transfers(state.journal)] == [
        ("granted/2", "held/2"),
        ("held/2", "granted/2"),
        ("granted/2", "held/2"),
    ]

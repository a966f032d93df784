"""Settlements and refunds, given / when / then: every reason, every duplicate, every movement."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.given import HOUR_MS, NOW_MS, causes, command, outcome, payment, refund, reservation, transfers, voucher
from tests.unit.reasons import reasons_of
from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.ledger.model import Payment, Refund, Reservation, Voucher
from voucher_ledger.payments.decide import decide
from voucher_ledger.payments.evolve import evolve
from voucher_ledger.payments.state import Payments

SETTLE = {"payment_id": "p-1", "order_id": "o-1", "user_id": "u-1", "paid_minor": 3200}
REFUND = {"refund_id": "r-1", "payment_id": "p-1", "order_id": "o-1", "user_id": "u-1", "amount_minor": 3200}
KNOWN = {"voucher_id": "v-1", "campaign_id": "spring"}
VOUCHER_ENDS_MS = NOW_MS + 23 * HOUR_MS
LATE_MS = NOW_MS + HOUR_MS  # the hold's end


def given(*rows: Voucher | Reservation | Payment | Refund) -> Payments:
    state = Payments(Journal("payment.commands"), {"v-1": voucher(state="held")})
    for row in rows:
        if isinstance(row, Voucher):
            state.vouchers[row.voucher_id] = row
        elif isinstance(row, Reservation):
            state.reservations[row.order_id] = row
        elif isinstance(row, Payment):
            state.payments[row.payment_id] = row
        else:
            state.refunds[row.refund_id] = row
    return state


def held(**changes: Any) -> Payments:
    return given(reservation(**changes))


def settled(**changes: Any) -> Payments:
    spent = voucher(state="spent", face_value_minor=1800)
    return given(spent, reservation(state="settled"), payment(**changes))


def beside_another(state: Payments) -> Payments:
    """The same user's order `o-2`, on another voucher, beside what there is."""
    state.vouchers["v-2"] = voucher(voucher_id="v-2", state="held")
    state.reservations["o-2"] = reservation(order_id="o-2", voucher_id="v-2")
    return state


def refunded() -> Payments:
    whole = payment(state="refunded", refunded_minor=3200)
    return given(voucher(face_value_minor=1800), reservation(state="refunded"), whole, refund())


def when(state: Payments, asked: Command) -> Event:
    return outcome(decide, evolve, state, asked)


def settle(offset: int = 40, at_ms: int = NOW_MS, **changes: Any) -> Command:
    return command("payment.settle", SETTLE | changes, at_ms=at_ms, offset=offset)


def refund_of(offset: int = 41, at_ms: int = NOW_MS, **changes: Any) -> Command:
    return command("payment.refund", REFUND | changes, at_ms=at_ms, offset=offset)


REFUSALS: dict[str, tuple[str, Callable[[], Payments], Command]] = {
    "no such order": ("unknown_order", given, settle()),
    "another's order": ("unknown_order", held, settle(user_id="u-2")),
    "the hold expired": ("hold_expired", lambda: held(state="expired"), settle()),
    "the hold is due to expire": ("hold_expired", held, settle(at_ms=LATE_MS)),
    "the order was cancelled": ("order_not_open", lambda: held(state="cancelled"), settle()),
    "the order was settled by another payment": ("order_not_open", settled, settle(payment_id="p-2")),
    "the order was refunded": ("order_not_open", refunded, settle(payment_id="p-2")),
    "the order was cancelled before the hold's end": (
        "order_not_open",
        lambda: held(state="cancelled"),
        settle(at_ms=LATE_MS),
    ),
    "the order was settled before the hold's end": ("order_not_open", settled, settle(payment_id="p-2", at_ms=LATE_MS)),
    "the order was refunded before the hold's end": (
        "order_not_open",
        refunded,
        settle(payment_id="p-2", at_ms=LATE_MS),
    ),
    "paid a little less": ("amount_mismatch", held, settle(paid_minor=3199)),
    "paid a little more": ("amount_mismatch", held, settle(paid_minor=3201)),
    "paid without the discount": ("amount_mismatch", held, settle(paid_minor=5000)),
    "settled with another amount": ("conflict", settled, settle(paid_minor=3201)),
    "settled for another order": ("conflict", settled, settle(order_id="o-2")),
    "settled for the user's other order": ("conflict", lambda: beside_another(settled()), settle(order_id="o-2")),
    "settled by another user": ("conflict", settled, settle(user_id="u-2")),
    "no such payment": ("unknown_payment", settled, refund_of(payment_id="p-2")),
    "another order's payment": ("unknown_payment", settled, refund_of(order_id="o-2")),
    "the user's other order's payment": (
        "unknown_payment",
        lambda: beside_another(settled()),
        refund_of(order_id="o-2"),
    ),
    "another's payment": ("unknown_payment", settled, refund_of(user_id="u-2")),
    "more than was paid": ("refund_exceeds_payment", settled, refund_of(amount_minor=3201)),
    "more than is left": ("refund_exceeds_payment", lambda: settled(refunded_minor=1), refund_of()),
    "something where nothing was paid": (
        "refund_exceeds_payment",
        lambda: settled(paid_minor=0),
        refund_of(amount_minor=1),
    ),
    "wholly refunded already": ("refund_exceeds_payment", refunded, refund_of(refund_id="r-2", amount_minor=0)),
    "nothing of what was paid": ("amount_mismatch", settled, refund_of(amount_minor=0)),
    "refunded with another amount": ("conflict", refunded, refund_of(amount_minor=3199)),
    "refunded for another reason": ("conflict", refunded, refund_of(reason="cold")),
    "refunded of another payment": ("conflict", refunded, refund_of(payment_id="p-2")),
    "refunded of another order": ("conflict", refunded, refund_of(order_id="o-2")),
    "refunded of the user's other order": ("conflict", lambda: beside_another(refunded()), refund_of(order_id="o-2")),
    "refunded by another user": ("conflict", refunded, refund_of(user_id="u-2")),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_gives_its_reason_and_changes_nothing(name: str) -> None:
    reason, state, asked = REFUSALS[name]
    event = when(state(), asked)
    assert (event.type, event.data["reason"]) == ("payment.rejected", reason)
    assert {key: value for key, value in asked.data.items() if key != "reason"}.items() <= event.data.items()
    own = state().reservations.get(asked.data["order_id"]) if asked.data["user_id"] == "u-1" else None
    known = {} if own is None else {"voucher_id": own.voucher_id, "campaign_id": own.campaign_id}
    assert {key: event.data[key] for key in KNOWN if key in event.data} == known


def test_every_reason_of_the_contract_is_tried() -> None:
    assert {reason for reason, _, _ in REFUSALS.values()} == reasons_of("payment.rejected")


def test_a_settlement_spends_the_discount_and_returns_what_the_order_left_of_the_voucher() -> None:
    state = held()
    event = when(state, settle(at_ms=NOW_MS + HOUR_MS - 1))
    assert event == Event("payment.settled", {**SETTLE, **KNOWN, "discount_minor": 1800, "command_id": "c-40"})
    assert transfers(state.journal) == [("held/2", "spent/2", 1, 1800), ("held/2", "pool/0", 0, 700)]
    assert causes(state.journal) == [("v-1", "o-1", "payment.commands", "5", "40", index) for index in "01"]
    assert [(changed.state, changed.face_value_minor) for changed in state.changed_vouchers.values()] == [
        ("spent", 1800)
    ]
    assert [changed.state for changed in state.changed_reservations.values()] == ["settled"]
    assert [(made.paid_minor, made.discount_minor, made.state) for made in state.settled] == [(3200, 1800, "settled")]


@pytest.mark.parametrize(
    ("amount_minor", "discount_minor", "expected"),
    [
        (2500, 2500, [("held/2", "spent/2", 1, 2500)]),
        (90, 0, [("held/2", "spent/2", 1, 0), ("held/2", "pool/0", 0, 2500)]),
    ],
)
def test_a_settlement_moves_no_empty_transfer(
    amount_minor: int, discount_minor: int, expected: list[tuple[str, str, int, int]]
) -> None:
    state = held(amount_minor=amount_minor, discount_minor=discount_minor)
    assert when(state, settle(paid_minor=amount_minor - discount_minor)).type == "payment.settled"
    assert transfers(state.journal) == expected


def test_a_settlement_sent_again_equals_the_first() -> None:
    state = held()
    first = when(state, settle())
    assert when(state, settle(at_ms=NOW_MS + 99 * HOUR_MS)) == Event(
        "payment.settled", {**first.data, "duplicate": True}
    )
    assert len(state.settled) == 1


def test_a_settlement_sent_again_after_the_refund_is_still_answered() -> None:
    event = when(refunded(), settle())
    assert (event.type, event.data["discount_minor"], event.data["duplicate"]) == ("payment.settled", 1800, True)


def test_a_whole_refund_restores_the_voucher_worth_the_discount() -> None:
    state = settled()
    state.category_left_minor["spring", "food"] = 0
    asked = refund_of(at_ms=VOUCHER_ENDS_MS - 1, reason="cold")
    event = when(state, asked)
    returned = {"discount_returned_minor": 1800, "voucher_restored": True, "command_id": "c-41"}
    assert event == Event("payment.refunded", {**REFUND, **KNOWN, **returned, "reason": "cold"})
    assert transfers(state.journal) == [("spent/2", "granted/2", 1, 1800)]
    assert causes(state.journal) == [("v-1", "o-1", "payment.commands", "5", "41", "0")]
    changed = state.changed_vouchers["v-1"]
    assert (changed.state, changed.face_value_minor) == ("granted", 1800)
    assert [changed.state for changed in state.changed_reservations.values()] == ["refunded"]
    assert [(paid.state, paid.refunded_minor) for paid in state.changed_payments.values()] == [("refunded", 3200)]
    assert [(made.amount_minor, made.reason, made.voucher_restored) for made in state.refunded] == [
        (3200, "cold", True)
    ]
    assert state.category_committed_minor == {("spring", "food"): -1800}
    assert state.category_left_minor == {("spring", "food"): 1800}


def test_a_whole_refund_after_the_vouchers_end_gives_the_discount_to_the_pool() -> None:
    state = settled()
    event = when(state, refund_of(at_ms=VOUCHER_ENDS_MS))
    assert (event.data["discount_returned_minor"], event.data["voucher_restored"]) == (1800, False)
    assert transfers(state.journal) == [("spent/2", "pool/0", 1, 1800)]
    assert [changed.state for changed in state.changed_vouchers.values()] == ["expired"]
    assert [changed.state for changed in state.changed_reservations.values()] == ["refunded"]
    assert state.category_committed_minor == {}


def test_the_discount_goes_back_with_the_last_part_only() -> None:
    state = settled()
    parts = [refund_of(41, amount_minor=3000), refund_of(42, refund_id="r-2", amount_minor=200)]
    first = when(state, parts[0])
    assert (first.data["discount_returned_minor"], first.data["voucher_restored"]) == (0, False)
    assert (state.journal.rows, state.changed_vouchers, state.changed_reservations) == ([], {}, {})
    assert [(paid.state, paid.refunded_minor) for paid in state.changed_payments.values()] == [("settled", 3000)]
    last = when(state, parts[1])
    assert (last.data["discount_returned_minor"], last.data["voucher_restored"]) == (1800, True)
    assert when(state, parts[0]) == Event("payment.refunded", {**first.data, "duplicate": True})
    assert when(state, parts[1]) == Event("payment.refunded", {**last.data, "duplicate": True})
    assert transfers(state.journal) == [("spent/2", "granted/2", 1, 1800)]


def test_a_free_order_is_refunded_by_nothing_at_all() -> None:
    state = settled(paid_minor=0, discount_minor=1800)
    event = when(state, refund_of(amount_minor=0))
    assert (event.data["discount_returned_minor"], event.data["voucher_restored"]) == (1800, True)
    assert transfers(state.journal) == [("spent/2", "granted/2", 1, 1800)]


def test_a_refund_sent_again_is_answered_as_stored_though_the_voucher_has_ended() -> None:
    event = when(refunded(), refund_of(at_ms=VOUCHER_ENDS_MS + 1))
    stored = {"discount_returned_minor": 1800, "voucher_restored": True, "duplicate": True, "command_id": "c-41"}
    assert event == Event("payment.refunded", {**REFUND, **KNOWN, **stored})


def test_a_batch_sees_its_own_payments_and_writes_each_row_once() -> None:
    state = held()
    answers = [when(state, asked) for asked in (settle(40), settle(41, payment_id="p-2"), refund_of(42), settle(43))]
    assert [event.data.get("reason") for event in answers] == [None, "order_not_open", None, None]
    assert [(made.payment_id, made.state, made.refunded_minor) for made in state.settled] == [("p-1", "refunded", 3200)]
    assert state.changed_payments == {}
    assert [changed.state for changed in state.changed_reservations.values()] == ["refunded"]
    assert [row[:2] for row in transfers(state.journal)] == [
        ("held/2", "spent/2"),
        ("held/2", "pool/0"),
        ("spent/2", "granted/2"),
    ]

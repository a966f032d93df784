"""Orders of several vouchers, settled and refunded: each voucher's discount is spent, and all come back or none."""

from typing import Any

import pytest

from tests.unit.given import HOUR_MS, NOW_MS, causes, command, outcome, payment, reservation, transfers, voucher
from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.ledger.model import Payment
from voucher_ledger.payments.decide import decide
from voucher_ledger.payments.evolve import evolve
from voucher_ledger.payments.state import Payments

DISCOUNTS_MINOR = (2500, 1700, 300)
SETTLE = {"payment_id": "p-1", "order_id": "o-1", "user_id": "u-1", "paid_minor": 500}
REFUND = {"refund_id": "r-1", "payment_id": "p-1", "order_id": "o-1", "user_id": "u-1", "amount_minor": 500}
KNOWN = {"voucher_id": "v-1", "more_voucher_ids": ["v-2", "v-3"], "campaign_id": "spring"}
ENDS_MS = NOW_MS + 23 * HOUR_MS


def given(state: str, *payments: Payment, **third: Any) -> Payments:
    """Order `o-1`: 50.00, of which three vouchers on three shards take 45.00; all are in `state`."""
    books = Payments(Journal("payment.commands"))
    for place, discount_minor in enumerate(DISCOUNTS_MINOR):
        row = voucher(voucher_id=f"v-{place + 1}", ordinal=place + 1, shard=place + 1, state=state)
        row.face_value_minor = discount_minor if state == "spent" else 2500
        books.vouchers[row.voucher_id] = row
    for name, value in third.items():
        setattr(books.vouchers["v-3"], name, value)
    books.reservations["o-1"] = reservation(
        state="held" if state == "held" else "settled",
        discount_minor=4500,
        more_voucher_ids=("v-2", "v-3"),
        voucher_discounts_minor=DISCOUNTS_MINOR,
    )
    books.payments = {each.payment_id: each for each in payments}
    return books


def settled(**third: Any) -> Payments:
    return given("spent", payment(paid_minor=500, discount_minor=4500), **third)


def when(state: Payments, asked: Command) -> Event:
    return outcome(decide, evolve, state, asked)


def refund_of(offset: int = 41, at_ms: int = NOW_MS, **changes: Any) -> Command:
    return command("payment.refund", REFUND | changes, at_ms=at_ms, offset=offset)


def test_a_settlement_spends_each_discount_and_returns_what_is_left_of_each() -> None:
    state = given("held")
    asked = command("payment.settle", SETTLE)
    event = when(state, asked)
    discounts = {"discount_minor": 4500, "voucher_discounts_minor": list(DISCOUNTS_MINOR)}
    assert event == Event("payment.settled", {**SETTLE, **KNOWN, **discounts, "command_id": "c-40"})
    assert transfers(state.journal) == [
        ("held/1", "spent/1", 1, 2500),
        ("held/2", "spent/2", 1, 1700),
        ("held/2", "pool/0", 0, 800),
        ("held/3", "spent/3", 1, 300),
        ("held/3", "pool/0", 0, 2200),
    ]
    assert [(cause[0], cause[-1]) for cause in causes(state.journal)] == [
        ("v-1", "0"), ("v-2", "2"), ("v-2", "3"), ("v-3", "4"), ("v-3", "5"),
    ]  # fmt: skip
    changed = state.changed_vouchers.values()
    assert [(row.state, row.face_value_minor) for row in changed] == [("spent", taken) for taken in DISCOUNTS_MINOR]
    assert [(made.paid_minor, made.discount_minor) for made in state.settled] == [(500, 4500)]
    assert when(state, asked) == Event("payment.settled", {**event.data, "duplicate": True})


def test_a_settlement_must_pay_what_all_vouchers_together_leave() -> None:
    event = when(given("held"), command("payment.settle", SETTLE | {"paid_minor": 2500}))
    assert event.data["reason"] == "amount_mismatch"


@pytest.mark.parametrize(
    ("third_ends_ms", "at_ms", "restored"),
    [(ENDS_MS, NOW_MS, True), (NOW_MS, NOW_MS, True), (NOW_MS, ENDS_MS - 1, True), (NOW_MS, ENDS_MS, False)],
    ids=["all live", "one has ended", "at the last moment", "all have ended"],
)
def test_a_whole_refund_restores_all_vouchers_or_none(third_ends_ms: int, at_ms: int, restored: bool) -> None:
    state = settled(expires_at_ms=third_ends_ms)
    state.category_left_minor["spring", "food"] = 0
    event = when(state, refund_of(at_ms=at_ms))
    returned = {"discount_returned_minor": 4500, "voucher_restored": restored, "command_id": "c-41"}
    assert event == Event("payment.refunded", {**REFUND, **KNOWN, **returned})
    taker = "granted/{}" if restored else "pool/0"
    assert transfers(state.journal) == [
        (f"spent/{shard}", taker.format(shard), 1, taken) for shard, taken in enumerate(DISCOUNTS_MINOR, 1)
    ]
    assert [cause[-1] for cause in causes(state.journal)] == ["0", "1", "2"]
    changed = [(row.state, row.face_value_minor) for row in state.changed_vouchers.values()]
    assert changed == [("granted" if restored else "expired", taken) for taken in DISCOUNTS_MINOR]
    assert state.category_committed_minor == {("spring", "food"): -4500}
    assert when(state, refund_of(at_ms=at_ms)) == Event("payment.refunded", {**event.data, "duplicate": True})


def test_a_refund_of_a_part_returns_no_voucher() -> None:
    state = settled()
    event = when(state, refund_of(amount_minor=499))
    assert (event.data["discount_returned_minor"], event.data["voucher_restored"]) == (0, False)
    assert event.data["more_voucher_ids"] == KNOWN["more_voucher_ids"]
    assert (state.journal.rows, state.changed_vouchers) == ([], {})

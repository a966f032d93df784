"""Orders of several vouchers on a real Postgres: nothing is lost, and the vouchers of an order move together."""

from collections.abc import Callable
from itertools import groupby
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import given, settings

from tests.property.by_hand import FACE_MINOR, campaign_open, claim, envelope, step
from tests.property.deciding import Ledger
from tests.property.expectations import schema_faults
from tests.property.stacks import Told, stacks
from tests.property.test_one_decider import STEADY
from voucher_ledger.core.records import Command
from voucher_ledger.ledger.model import Reservation

pytestmark = pytest.mark.integration


def each_command_gets_its_answer(ledger: Ledger, told: Told) -> None:
    """One command at a time: after each, every voucher is what a count by hand says."""
    ledger.begin().play(told.ahead)
    for said, expected in zip(told.steps, told.answers, strict=True):
        encoded = ledger.decide([said])
        assert schema_faults(encoded) == []
        (event,) = map(orjson.loads, encoded)
        data = event["data"]
        assert (event["type"], data.get("reason"), "duplicate" in data) == expected[:3], (said, event)
        rows = ledger.connection.execute("SELECT voucher_id, state, face_value_minor FROM ledger.voucher").fetchall()
        assert {voucher_id: (state, worth_minor) for voucher_id, state, worth_minor in rows} == expected.vouchers
    rows = ledger.connection.execute(
        "SELECT order_id, voucher_id, discount_minor FROM ledger.reservation_voucher ORDER BY order_id, place"
    ).fetchall()
    shares: dict[str, list[tuple[str, int]]] = {}
    for order_id, voucher_id, discount_minor in rows:
        shares.setdefault(order_id, []).append((voucher_id, discount_minor))
    assert shares == told.shares
    assert ledger.faults() == []


@given(told=stacks())
@settings(STEADY, max_examples=30)
def test_the_vouchers_of_an_order_move_together_and_nothing_is_lost(ledger: Ledger, told: Told) -> None:
    each_command_gets_its_answer(ledger, told)
    picture = ledger.picture()
    ledger.begin().play(told.ahead)
    events = ledger.play([list(batch) for _, batch in groupby(told.steps, key=lambda said: said.room)])
    assert [orjson.loads(event)["type"] for event in events] == [expected.type for expected in told.answers]
    assert ledger.picture() == picture


# Three of a user's four vouchers on one order, 2.50 of 10.00 of the last unused; then settled, and wholly refunded.
OPENING = campaign_open(quota=4, budget_minor=4 * FACE_MINOR, per_user_limit=4, vouchers_per_order_max=3)
CLAIMS = [step(0, "claims", claim(f"c-{place}"), offset=place) for place in range(4)]
RESERVE: dict[str, Any] = {
    "order_id": "o-1", "user_id": "u-1", "voucher_id": "v0-0", "more_voucher_ids": ["v0-1", "v0-2"],
    "merchant_id": "m-1", "category": "tea", "amount_minor": 2_750,
}  # fmt: skip
PAYMENT: dict[str, Any] = {"payment_id": "p-1", "order_id": "o-1", "user_id": "u-1"}
THREE_ON_ONE = [
    [step(0, "orders", envelope("order.reserve", "reserve", RESERVE))],
    [step(0, "payments", envelope("payment.settle", "s", {**PAYMENT, "paid_minor": 0}))],
    [step(0, "payments", envelope("payment.refund", "r", PAYMENT | {"refund_id": "r-1", "amount_minor": 0}), offset=1)],
]


SPENT = ("payments_equal_spent_vouchers", "payments_equal_spent_balance")


@pytest.mark.parametrize(
    ("whole", "names"),
    [
        (0, {"reservations_equal_held_vouchers", "several_vouchers_move_together"}),
        (1, {"reservations_equal_held_vouchers", "several_vouchers_move_together", *SPENT}),
        (2, {"several_vouchers_move_together", *SPENT}),
    ],
    ids=["held", "spent", "given back"],
)
def test_an_order_that_forgets_one_of_its_vouchers_is_found(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, whole: int, names: set[str]
) -> None:
    """Negative control: from the step numbered `whole` on, the last voucher is not moved with the others."""
    ledger.begin().play([[step(0, "campaigns", OPENING)], CLAIMS, *THREE_ON_ONE[:whole]])
    assert ledger.faults() == []
    all_shares = Reservation.shares
    monkeypatch.setattr(Reservation, "shares", lambda self: all_shares(self)[:-1])
    ledger.play(THREE_ON_ONE[whole : whole + 1])
    assert {fault.split(": ")[1] for fault in ledger.faults()} == names


def test_an_order_of_several_takes_no_more_statements_than_an_order_of_one(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so an order of one takes none for what it has not."""
    alone = {name: value for name, value in RESERVE.items() if name != "more_voucher_ids"} | {"amount_minor": 900}
    statements: dict[str, list[object]] = {}
    for name, order in (("one", alone), ("several", RESERVE)):
        ledger.begin().play([[step(0, "campaigns", OPENING)], CLAIMS])
        with monkeypatch.context() as patched:
            statements[name] = counted(patched)
            told = [[step(0, "orders", envelope("order.reserve", "reserve", order))], *THREE_ON_ONE[1:]]
            types = [orjson.loads(event)["type"] for event in ledger.play(told)]
        assert types == ["order.reserved", "payment.settled", "payment.refunded"]
    assert statements["one"]
    assert statements["one"] == statements["several"]


def counted(patched: pytest.MonkeyPatch) -> list[object]:
    """What Postgres is asked to do from now on."""
    asked: list[object] = []

    def noting(whole: Callable[..., Any]) -> Callable[..., Any]:
        def note(self: Any, query: Any, *given: Any, **more: Any) -> Any:
            asked.append(query)
            return whole(self, query, *given, **more)

        return note

    for name in ("execute", "copy"):
        patched.setattr(psycopg.Cursor, name, noting(getattr(psycopg.Cursor, name)))
    return asked


@pytest.mark.parametrize(("room", "type_"), [("orders", "order.cancel"), ("payments", "payment.settle")])
def test_a_batch_that_locks_takes_all_vouchers_of_an_order_first(ledger: Ledger, room: str, type_: str) -> None:
    """Where it knew of the first alone, it would find the others unlocked and never get on."""
    ledger.begin().play([[step(0, "campaigns", OPENING)], CLAIMS, THREE_ON_ONE[0]])
    processor = ledger.processors[room]
    commands = [Command(type_, "c", {**PAYMENT, "paid_minor": 0})]
    with processor.connection.transaction():
        state = processor.room.prepare(processor.connection, commands, lock=True)
        processor.room.load(processor.connection, state, commands, lock=True)
    assert sorted(state.vouchers) == ["v0-0", "v0-1", "v0-2"]

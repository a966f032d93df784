"""The campaign's real day: fifteen times as many claims as cards, and not a unit lost of what was funded.

Told by users who react to what they are answered: orders worth less and more than a voucher, cancels, payments, refunds
in part and whole, holds and vouchers that nobody uses. After each phase SQL alone must give the equation.
"""

from collections.abc import Sequence
from random import Random
from typing import Any, Literal

import orjson
import pytest

from tests.property.by_hand import FACE_MINOR, HOLD_S, START_MS, TTL_S, campaign_open, envelope
from tests.property.deciding import PARTITIONS, Ledger, Step
from tests.property.expectations import Tally

pytestmark = pytest.mark.integration

CARDS = 200
# Less than the cards would cost at most: what orders leave of it is granted again.
BUDGET_MINOR = 180 * FACE_MINOR
DEMAND = 15
ROUNDS = 5
TOPPED_UP_AFTER_ROUND = 2
MORE_CARDS, MORE_MINOR = 40, 25 * FACE_MINOR
BATCH_STEPS = 150

# What a campaign holds of each unit, and what it was given: to fund it, and past its end.
_EQUATION = """
SELECT coalesce(sum(balance) FILTER (WHERE role IN ('spent', 'granted', 'held', 'pool', 'lease')), 0)::bigint,
       -sum(balance) FILTER (WHERE role = 'funding')::bigint,
       -coalesce(sum(balance) FILTER (WHERE role = 'loss'), 0)::bigint,
       coalesce(sum(balance) FILTER (WHERE role IN ('spent', 'granted', 'held')), 0)::bigint
FROM ledger.balance WHERE campaign_id = 'spring-1' AND unit = %s"""

Event = dict[str, Any]


class Day:
    """A day under way: it sends a phase's commands, follows their outcomes, and holds the books to the equation."""

    def __init__(self, ledger: Ledger, overspend: Literal["forbid", "honour"], seed: int) -> None:
        self.now_ms = START_MS
        self.counted = Tally({"spring-1"} if overspend == "honour" else ())
        self.outcomes: dict[str, int] = {}
        self.vouchers: dict[str, Event] = {}
        self._ledger = ledger
        self._draw = Random(seed)
        self._offsets: dict[tuple[str, int], int] = {}
        self._funded = {"VOUCHER": 0, "CNY": 0}

    def fund(self, command: dict[str, Any]) -> None:
        """Open the campaign or top it up."""
        self.play("campaigns", [command])
        self._funded["VOUCHER"] += command["data"]["quota"]
        self._funded["CNY"] += command["data"]["budget_minor"]
        self.check()

    def play(self, room: str, commands: Sequence[dict[str, Any]]) -> list[Event]:
        """Decide these commands in batches, spread over the partitions by their users; their outcomes, in order."""
        events: list[Event] = []
        steps = [self._step(room, command) for command in commands]
        for first in range(0, len(steps), BATCH_STEPS):
            events += map(orjson.loads, self._ledger.decide(steps[first : first + BATCH_STEPS]))
        for event in events:
            self.counted.add(event)
            name = event["data"].get("reason", "") if event["type"].endswith(".rejected") else event["type"]
            self.outcomes[name] = self.outcomes.get(name, 0) + 1
            self._follow(event)
        return events

    def _follow(self, event: Event) -> None:
        """Which vouchers are granted and unused now."""
        type_, data = event["type"], event["data"]
        if type_ == "voucher.granted":
            self.vouchers[data["voucher_id"]] = data
        elif type_ in ("order.reserved", "voucher.expired"):
            del self.vouchers[data["voucher_id"]]
        elif type_ in ("order.cancelled", "order.expired") or data.get("voucher_restored"):
            self.vouchers[data["voucher_id"]] = data

    def check(self) -> None:
        """The equation, in both units, and beside it what nobody may pass."""
        counted = self.counted
        told = {
            "VOUCHER": (counted.lost_vouchers["spring-1"], counted.vouchers_out["spring-1"]),
            "CNY": (counted.lost_minor["spring-1"], counted.out_minor["spring-1"]),
        }
        for unit, funded in self._funded.items():
            held_in_all, paid_in, loss, out = self._ledger.connection.execute(_EQUATION, (unit,)).fetchall()[0]
            assert paid_in == funded
            assert held_in_all == funded + loss
            assert (loss, out) == told[unit]  # past the end, and out in all, as counted from the events
            assert out <= funded + loss
        assert counted.faults == []  # at no moment in between, either

    def left(self) -> tuple[int, int]:
        """(vouchers, money) of pool and leases."""
        rows = self._ledger.connection.execute(
            "SELECT unit, sum(balance)::bigint FROM ledger.balance WHERE role IN ('pool', 'lease') GROUP BY unit"
        )
        left: dict[str, int] = dict(rows.fetchall())
        return left["VOUCHER"], left["CNY"]

    def claims(self, users: range) -> None:
        """A user each, some of whom send their claim again."""
        commands = []
        for number in users:
            said = envelope("voucher.claim", f"c-{number}", {"campaign_id": "spring-1", "user_id": f"u-{number}"})
            commands += [said, said] if self._draw.random() < 0.05 else [said]
        self.play("claims", commands)
        self.check()

    def orders(self, round_: int) -> list[Event]:
        """Most who have a voucher order with it, for less than it is worth or more; those reserved."""
        commands = []
        for voucher in list(self.vouchers.values()):
            if self._draw.random() < 0.85:
                voucher_id, user_id = voucher["voucher_id"], voucher["user_id"]
                data = {
                    "order_id": f"o-{round_}-{voucher_id}", "user_id": user_id, "voucher_id": voucher_id,
                    "merchant_id": "m", "category": "tea", "amount_minor": self._draw.randint(1, 2 * FACE_MINOR),
                }  # fmt: skip
                commands.append(envelope("order.reserve", f"reserve-{round_}-{voucher_id}", data))
        reserved = [event["data"] for event in self.play("orders", commands) if event["type"] == "order.reserved"]
        self.check()
        return reserved

    def ends(self, reserved: Sequence[Event]) -> tuple[list[Event], list[Event]]:
        """A tenth of the orders are cancelled, a tenth forgotten, all others paid; (paid, forgotten)."""
        cancels, settles, forgotten = [], [], []
        for order in reserved:
            fate, owner = self._draw.random(), {"order_id": order["order_id"], "user_id": order["user_id"]}
            if fate < 0.1:
                cancels.append(envelope("order.cancel", f"cancel-{order['order_id']}", owner))
            elif fate < 0.2:
                forgotten.append(order)
            else:
                paid_minor = order["amount_minor"] - order["discount_minor"]
                data = {**owner, "payment_id": f"p-{order['order_id']}", "paid_minor": paid_minor}
                settles.append(envelope("payment.settle", f"settle-{order['order_id']}", data))
        self.play("orders", cancels)
        self.check()
        paid = [event["data"] for event in self.play("payments", settles) if event["type"] == "payment.settled"]
        self.check()
        return paid, forgotten

    def refunds(self, paid: Sequence[Event]) -> None:
        """A tenth of the payments are refunded whole, a tenth in part, and a tenth in two parts."""
        commands = []
        for payment in paid:
            fate, whole_minor = self._draw.random(), payment["paid_minor"]
            first_minor = whole_minor if fate < 0.1 else whole_minor // 2
            parts = [first_minor, whole_minor - first_minor] if 0.2 <= fate < 0.3 else [first_minor]
            for number, amount_minor in enumerate(parts if fate < 0.3 else []):
                refund_id = f"r-{payment['order_id']}-{number}"
                data = {
                    "refund_id": refund_id, "payment_id": payment["payment_id"], "order_id": payment["order_id"],
                    "user_id": payment["user_id"], "amount_minor": amount_minor,
                }  # fmt: skip
                commands.append(envelope("payment.refund", refund_id, data))
        self.play("payments", commands)
        self.check()

    def expiries(self, forgotten: Sequence[Event]) -> None:
        """Time passes: the holds of forgotten orders end, and then all vouchers that nobody has used."""
        self.now_ms += HOLD_S * 1_000
        holds = [{"order_id": order["order_id"], "user_id": order["user_id"]} for order in forgotten]
        self.play("orders", [envelope("order.expire", f"expire-{hold['order_id']}", hold) for hold in holds])
        self.check()
        self.now_ms += (TTL_S - HOLD_S) * 1_000
        unused = [
            {"campaign_id": "spring-1", "user_id": voucher["user_id"], "voucher_id": voucher["voucher_id"]}
            for voucher in self.vouchers.values()
        ]
        self.play("claims", [envelope("voucher.expire", f"expire-{data['voucher_id']}", data) for data in unused])
        self.check()

    def _step(self, room: str, command: dict[str, Any]) -> Step:
        number = int(command["data"].get("user_id", "u-0").removeprefix("u-"))
        partition = number % PARTITIONS
        offset = self._offsets.get((room, partition), 0)
        self._offsets[room, partition] = offset + 1
        return Step(room, partition, offset, self.now_ms, command)


def live(ledger: Ledger, overspend: Literal["forbid", "honour"], seed: int = 15) -> Day:
    """The day, to its end."""
    day = Day(ledger.begin(), overspend, seed)
    day.fund(campaign_open(quota=CARDS, budget_minor=BUDGET_MINOR, overspend=overspend))
    claims_a_round = DEMAND * CARDS // ROUNDS
    for round_ in range(ROUNDS):
        day.claims(range(round_ * claims_a_round, (round_ + 1) * claims_a_round))
        if overspend == "forbid":
            vouchers, left_minor = day.left()
            assert vouchers == 0 or left_minor < FACE_MINOR  # refused only once nothing more could be paid for
        paid, forgotten = day.ends(day.orders(round_))
        # The other half wait for their refunds until their vouchers have expired: what returns then goes to the pool.
        day.refunds(paid[::2])
        day.expiries(forgotten)
        day.refunds(paid[1::2])
        if round_ == TOPPED_UP_AFTER_ROUND:
            data = {"campaign_id": "spring-1", "quota": MORE_CARDS, "budget_minor": MORE_MINOR}
            day.fund(envelope("campaign.top_up", "top-up-1", {**data, "approved_by": "finance", "reason": "demand"}))
    assert ledger.faults() == []
    return day


def test_a_fifteenfold_demand_passes_neither_quota_nor_budget(ledger: Ledger) -> None:
    day = live(ledger, "forbid")
    assert day.counted.lost_vouchers.total() == day.counted.lost_minor.total() == 0
    assert day.outcomes["sold_out"] + day.outcomes["budget_exhausted"] > (DEMAND - 5) * CARDS
    assert min(day.outcomes["sold_out"], day.outcomes["budget_exhausted"]) > 0  # each was the end once
    # More than the cards there are, since some came back; never more of them out at once.
    assert day.outcomes["voucher.granted"] > CARDS + MORE_CARDS
    everything_happened(day)


def test_what_is_honoured_of_a_fifteenfold_demand_is_the_loss_to_the_last_unit(ledger: Ledger) -> None:
    day = live(ledger, "honour")
    assert day.counted.lost_vouchers["spring-1"] > DEMAND // 3 * CARDS
    assert day.counted.lost_minor["spring-1"] == day.counted.lost_vouchers["spring-1"] * FACE_MINOR
    assert day.outcomes["voucher.granted"] >= DEMAND * CARDS
    everything_happened(day)


def everything_happened(day: Day) -> None:
    """A day on which nobody cancels proves little."""
    happened = {name for name, times in day.outcomes.items() if times >= 20}
    assert happened >= {
        "voucher.granted", "voucher.expired", "order.reserved", "order.cancelled", "order.expired", "payment.settled",
        "payment.refunded",
    }  # fmt: skip

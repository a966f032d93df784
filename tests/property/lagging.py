"""Orders that follow each other on the same two vouchers, by partitions that lag and clocks that go back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.property.by_hand import FACE_MINOR, START_MS, campaign_open, claim, envelope
from tests.property.deciding import PARTITIONS, Step
from tests.property.stories import Story

Draw = Callable[[st.SearchStrategy[Any]], Any]
MINUTE_MS = 60_000
VOUCHERS = ("v0-0", "v0-1")


class Told(NamedTuple):
    """An order to be: what its vouchers take off, what it costs, and how it ends."""

    order_id: str
    voucher_ids: tuple[str, ...]
    amount_minor: int
    discounts_minor: tuple[int, ...]
    end: str


@dataclass(slots=True)
class Lagging:
    """Tells orders one after the other. What still says in which order they were decided is one of three things.

    `values`: what each took off, whatever the partitions and clocks. `offsets`: orders come by one partition, whatever
    the clocks. `lag`: clocks are right, but some partitions were decided late, so that only the last of an order's
    commands says when it was.
    """

    draw: Draw
    clue: str
    terms: dict[str, Any]
    now_ms: int = START_MS + 30 * MINUTE_MS
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    values: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VOUCHERS, FACE_MINOR))
    told: Story = field(default_factory=list)

    def pick(self, *choices: Any) -> Any:
        """One of `choices`; shrinks to the first."""
        return self.draw(st.sampled_from(choices))

    def order(self, number: int, *, is_last: bool) -> None:
        """An order's whole life; the last may keep its vouchers."""
        end = self.pick(*("restored", "restored", "cancelled"), *(("held", "spent") if is_last else ()))
        order = self._new(f"o-{number}", end)
        data = {"order_id": order.order_id, "user_id": "u-1"}
        more = {"more_voucher_ids": list(order.voucher_ids[1:])} if order.voucher_ids[1:] else {}
        reserve = {"voucher_id": order.voucher_ids[0], **more, "merchant_id": "m-1", "category": "tea"}
        self._say("order.reserve", {**data, **reserve, "amount_minor": order.amount_minor})
        if end == "cancelled":
            self._say("order.cancel", data)
        paid_minor = order.amount_minor - sum(order.discounts_minor)
        paid = {**data, "payment_id": f"p-{number}"}
        if end in ("restored", "spent"):
            self._say("payment.settle", {**paid, "paid_minor": paid_minor})
            self.values |= zip(order.voucher_ids, order.discounts_minor, strict=True)
        if end == "restored":
            parts = [paid_minor // 3, paid_minor - paid_minor // 3] if paid_minor >= 3 else [paid_minor]
            for part, minor in enumerate(parts):
                self._say("payment.refund", {**paid, "refund_id": f"r-{number}-{part}", "amount_minor": minor})

    def _new(self, order_id: str, end: str) -> Told:
        """Where the values must tell, an order takes all that a voucher is worth and would take more, or is settled
        and leaves it worth less.
        """
        voucher_ids = self.pick(VOUCHERS[:1], VOUCHERS[:1], VOUCHERS[1:], VOUCHERS, VOUCHERS[::-1])
        worth = [self.values[voucher_id] for voucher_id in voucher_ids]
        below = sum(worth[:-1])
        wanted_minor = below + self.pick(worth[-1] + 1, worth[-1] * 2, worth[-1] // 2, worth[-1] - 1, worth[-1])
        tells = wanted_minor > sum(worth) or (end in ("restored", "spent") and wanted_minor < sum(worth))
        if wanted_minor <= below or (self.clue == "values" and not tells):
            wanted_minor = sum(worth) + 1
        if "percent_bp" in self.terms:  # half of the order, and then half of what is left of it
            return self._halved(order_id, voucher_ids, worth, wanted_minor, end)
        return Told(order_id, voucher_ids, wanted_minor, tuple(_taken(worth, wanted_minor)), end)

    def _halved(self, order_id: str, voucher_ids: tuple[str, ...], worth: list[int], wanted: int, end: str) -> Told:
        if len(voucher_ids) > 1 or (self.clue == "values" and wanted == worth[0]):
            voucher_ids, worth, wanted = voucher_ids[:1], worth[:1], worth[0] + 1
        return Told(order_id, voucher_ids, 2 * wanted, (min(wanted, worth[0]),), end)

    def _say(self, type_: str, data: dict[str, Any]) -> None:
        room = f"{type_.split('.', maxsplit=1)[0]}s"
        self.now_ms += 1_000
        at_ms = self.now_ms
        if self.clue != "lag" or type_ == "order.reserve":
            at_ms = START_MS + self.draw(st.integers(1, 29)) * MINUTE_MS
        partition = 0 if self.clue == "offsets" and room == "orders" else self.draw(st.integers(0, PARTITIONS - 1))
        offset = self.offsets.get((room, partition), 0)
        self.offsets[room, partition] = offset + 1
        command = envelope(type_, f"{type_}-{len(self.told)}", data)
        self.told.append([Step(room, partition, offset, at_ms, command)])


def _taken(worth: list[int], wanted_minor: int) -> list[int]:
    discounts_minor = []
    for value_minor in worth:
        discounts_minor.append(min(value_minor, wanted_minor))
        wanted_minor -= discounts_minor[-1]
    return discounts_minor


@st.composite
def lagging(draw: Draw) -> Story:
    """Two vouchers of one user, and up to seven orders that follow each other on them."""
    kinds = ({"kind": "free_order"}, {"kind": "percent_off", "percent_bp": 5_000})
    terms = {**draw(st.sampled_from(kinds)), "face_value_minor": FACE_MINOR}
    teller = Lagging(draw, draw(st.sampled_from(("values", "offsets", "lag"))), terms)
    count = draw(st.integers(2, 7))
    for number in range(count):
        teller.order(number, is_last=number == count - 1)
    changes = {"quota": 2, "budget_minor": 2 * FACE_MINOR, "per_user_limit": 2, "vouchers_per_order_max": 2}
    opened = [Step("campaigns", 0, 0, START_MS, campaign_open(voucher=terms, **changes))]
    return [opened, [Step("claims", 0, place, START_MS, claim(f"c-{place}")) for place in range(2)], *teller.told]

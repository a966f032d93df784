"""Two users with four vouchers each, up to four of them on an order; and the answer to each command, by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.property.by_hand import FACE_MINOR, HOLD_S, START_MS, TTL_S, campaign_open, claim, envelope
from tests.property.deciding import PARTITIONS, Step

Draw = Callable[[st.SearchStrategy[Any]], Any]
# (state, worth in minor units) of each voucher.
Worth = dict[str, tuple[str, int]]

USERS = ("u-1", "u-2")
EACH = 4
MINUTE_MS = 60_000


class Answer(NamedTuple):
    """What a command must be answered, and what the vouchers must be after it."""

    type: str
    reason: str | None
    duplicate: bool
    vouchers: Worth


@dataclass(slots=True)
class Stack:
    """Tells commands, and decides each by hand: the rules of docs/SEMANTICS.md once more, for one campaign."""

    draw: Draw
    now_ms: int = START_MS + 10 * MINUTE_MS
    terms: dict[str, Any] = field(default_factory=dict)
    most: int = 4
    left_minor: int | None = None
    vouchers: Worth = field(default_factory=dict)
    ends_ms: dict[str, int] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    paid: dict[str, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    def pick(self, choices: Any) -> Any:
        """One of `choices`; shrinks to the first."""
        return self.draw(st.sampled_from(choices))

    def begin(self) -> list[list[Step]]:
        """The campaign, and all its vouchers granted a minute apart: u-1 has the first four."""
        self.terms = self.pick(
            (
                {"kind": "free_order", "face_value_minor": FACE_MINOR},
                {"kind": "percent_off", "face_value_minor": FACE_MINOR, "percent_bp": 4_000},
            )
        )
        self.most = self.pick((4, 4, 4, 3, 2, 1))
        self.left_minor = self.pick((None, None, 4_000))
        count = len(USERS) * EACH
        changes: dict[str, Any] = {"quota": count, "budget_minor": count * FACE_MINOR, "per_user_limit": EACH}
        if self.most > 1:
            changes["vouchers_per_order_max"] = self.most
        if self.left_minor is not None:
            changes |= {"categories": ["tea"], "category_budgets_minor": {"tea": self.left_minor}}
        claims = []
        for place in range(count):
            at_ms = START_MS + place * MINUTE_MS
            claims.append(Step("claims", 0, place, at_ms, claim(f"c-{place}", USERS[place // EACH])))
            self.vouchers[f"v0-{place}"] = ("granted", FACE_MINOR)
            self.ends_ms[f"v0-{place}"] = at_ms + TTL_S * 1_000
        return [[Step("campaigns", 0, 0, START_MS, campaign_open(voucher=self.terms, **changes))], claims]

    def say(self) -> None:
        """The next command and its answer."""
        self.now_ms += self.pick((*[0] * 24, MINUTE_MS, HOLD_S * 1_000, TTL_S * 1_000 - 6 * MINUTE_MS))
        type_ = self.pick((*["order.reserve"] * 5, *["payment.settle"] * 3, "payment.refund", "payment.refund",
                           "order.cancel", "order.expire", "again"))  # fmt: skip
        if not self.orders:
            type_ = self.pick((*["order.reserve"] * 9, type_))
        told = type_ == "again" and self.steps
        command = self.pick(self.steps).command if told else self._new("order.reserve" if type_ == "again" else type_)
        room = f"{command['type'].split('.')[0]}s"
        partition = self.draw(st.integers(0, PARTITIONS - 1))
        offset = sum(step.room == room and step.partition == partition for step in self.steps)
        self.steps.append(Step(room, partition, offset, self.now_ms, command))
        event_type, reason, duplicate = self._decide(command["type"], command["data"])
        self.answers.append(Answer(event_type, reason, duplicate, dict(self.vouchers)))

    def _new(self, type_: str) -> dict[str, Any]:
        number = len(self.steps)
        wanted = {"payment.refund": "settled"}.get(type_, "held")
        fit = [order_id for order_id, order in self.orders.items() if order["state"] == wanted]
        likely = fit if fit and self.pick((True, True, True, False)) else list(self.orders)
        order_id = self.pick(likely or ["none"])
        order = self.orders.get(order_id, {"user_id": "u-1"})
        data = {"order_id": order_id, "user_id": order["user_id"]}
        if type_ == "order.reserve":
            data = self._order(f"o-{number}")
        elif type_ == "order.expire" and order.get("state") == "held":
            self.now_ms = max(self.now_ms, order["due_ms"] - self.pick((0, 0, 0, 1)))
        elif type_ == "payment.settle":
            due_minor = order.get("amount_minor", 0) - sum(minor for _, minor in order.get("shares", ()))
            data |= {"payment_id": f"p-{order_id}", "paid_minor": due_minor}
        elif type_ == "payment.refund":
            left_minor = self.paid.get(order_id, 0) - order.get("refunded_minor", 0)
            amount_minor = self.pick((left_minor, left_minor, left_minor // 2, left_minor + 1))
            data |= {"refund_id": f"r-{number}", "payment_id": f"p-{order_id}", "amount_minor": amount_minor}
        return envelope(type_, f"{type_}-{number}", data, self.now_ms)

    def _order(self, order_id: str) -> dict[str, Any]:
        user_id = self.pick(USERS)
        own = [name for name in self.vouchers if self._owner(name) == user_id and self.vouchers[name][0] == "granted"]
        choices = own if own and self.pick((*[True] * 9, False)) else list(self.vouchers)
        used = self.draw(st.permutations(choices))[: self.pick((2, 3, 4, 1))]
        return {
            "order_id": order_id, "user_id": user_id, "voucher_id": used[0],
            **({"more_voucher_ids": used[1:]} if used[1:] else {}),
            "merchant_id": "m-1", "category": "tea", "amount_minor": self.pick((3_300, 4_500, 2_000, 900)),
        }  # fmt: skip

    def _owner(self, voucher_id: str) -> str:
        return USERS[int(voucher_id.removeprefix("v0-")) // EACH]

    def _decide(self, type_: str, data: dict[str, Any]) -> tuple[str, str | None, bool]:
        order = self.orders.get(data["order_id"])
        room = type_.split(".", maxsplit=1)[0]
        if type_ == "order.reserve":
            outcome = "again" if order is not None else self._reserve(data)
        elif order is None:
            outcome = "unknown_payment" if type_ == "payment.refund" else "unknown_order"
        elif type_ == "payment.refund":
            outcome = self._refund(order, data)
        else:
            outcome = self._close(type_, order, data)
        if outcome in ("done", "again"):
            done = {"reserve": "reserved", "cancel": "cancelled", "expire": "expired", "settle": "settled",
                    "refund": "refunded"}  # fmt: skip
            return f"{room}.{done[type_.split('.')[1]]}", None, outcome == "again"
        return f"{room}.rejected", outcome, False

    def _reserve(self, data: dict[str, Any]) -> str:
        used = [data["voucher_id"], *data.get("more_voucher_ids", ())]
        for name in used:
            state = self.vouchers[name][0]
            if self._owner(name) != data["user_id"]:
                return "not_your_voucher"
            if state == "expired" or self.now_ms >= self.ends_ms[name]:
                return "voucher_expired"
            if state != "granted":
                return "voucher_used" if state == "spent" else "voucher_held"
        left_minor, shares = data["amount_minor"], []
        for name in used:
            share_minor = min(self.vouchers[name][1], left_minor * self.terms.get("percent_bp", 10_000) // 10_000)
            shares.append((name, share_minor))
            left_minor -= share_minor
        if len(used) > self.most:
            return "conflict"
        taken_minor = data["amount_minor"] - left_minor
        if self.left_minor is not None and taken_minor > self.left_minor:
            return "category_budget_exhausted"
        if len(used) > 1 and any(share_minor == 0 for _, share_minor in shares):
            return "conflict"
        self.orders[data["order_id"]] = {**data, "state": "held", "shares": shares, "refunded_minor": 0,
                                         "due_ms": self.now_ms + HOLD_S * 1_000}  # fmt: skip
        self._commit(taken_minor)
        self._turn(shares, "held")
        return "done"

    def _close(self, type_: str, order: dict[str, Any], data: dict[str, Any]) -> str:
        done = {"order.cancel": "cancelled", "order.expire": "expired", "payment.settle": "settled"}[type_]
        if type_ == "payment.settle" and data["order_id"] in self.paid:
            return "again"
        due = order["state"] == "held" and type_ == "payment.settle" and self.now_ms >= order["due_ms"]
        late = order["state"] == "expired" or due
        if order["state"] == done:
            return "again"
        if late and type_ != "order.expire":
            return "hold_expired"
        if order["state"] != "held":
            return "order_not_open"
        if type_ == "order.expire" and self.now_ms < order["due_ms"]:
            return "conflict"
        order["state"] = done
        if done == "settled":
            self.paid[data["order_id"]] = data["paid_minor"]
            self.vouchers |= {name: ("spent", share_minor) for name, share_minor in order["shares"]}
        else:
            self._commit(-sum(share_minor for _, share_minor in order["shares"]))
            self._turn(order["shares"], "granted")
        return "done"

    def _refund(self, order: dict[str, Any], data: dict[str, Any]) -> str:
        if data["refund_id"] in order.get("refunds", ()):
            return "again"
        if data["order_id"] not in self.paid:
            return "unknown_payment"
        left_minor = self.paid[data["order_id"]] - order["refunded_minor"]
        if order["state"] == "refunded" or data["amount_minor"] > left_minor:
            return "refund_exceeds_payment"
        if data["amount_minor"] == 0 and self.paid[data["order_id"]] > 0:
            return "amount_mismatch"
        order["refunded_minor"] += data["amount_minor"]
        order["refunds"] = [*order.get("refunds", ()), data["refund_id"]]
        if data["amount_minor"] == left_minor:
            order["state"] = "refunded"
            self._commit(-sum(share_minor for _, share_minor in order["shares"]))
            alive = any(self.now_ms < self.ends_ms[name] for name, _ in order["shares"])
            self._turn(order["shares"], "granted" if alive else "expired")
        return "done"

    def _commit(self, minor: int) -> None:
        if self.left_minor is not None:
            self.left_minor -= minor

    def _turn(self, shares: list[tuple[str, int]], state: str) -> None:
        for name, _ in shares:
            self.vouchers[name] = (state, self.vouchers[name][1])


class Told(NamedTuple):
    """What comes first, and then the commands with their answers and the shares of the orders that they made."""

    ahead: list[list[Step]]
    steps: list[Step]
    answers: list[Answer]
    shares: dict[str, list[tuple[str, int]]]


@st.composite
def stacks(draw: Draw, *, commands_max: int = 20) -> Told:
    """A campaign of eight vouchers, and what becomes of them."""
    stack = Stack(draw)
    ahead = stack.begin()
    for _ in range(draw(st.integers(8, commands_max))):
        stack.say()
    shares = {order_id: order["shares"] for order_id, order in stack.orders.items()}
    return Told(ahead, stack.steps, stack.answers, shares)

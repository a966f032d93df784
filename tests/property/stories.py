"""Stories: what few users do to few small campaigns, so that everything collides. Hypothesis tells and shrinks them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.property.deciding import PARTITIONS, Step
from voucher_ledger.core.clock import rfc3339

START_MS = 1_770_307_200_000
HOUR_S = 3_600
HOLD_S, TTL_S, OPEN_S = HOUR_S, 4 * HOUR_S, 24 * HOUR_S
FACE_MINOR = 1_000
CATEGORIES = ("tea", "hotel")

Batch = list[Step]
Story = list[Batch]
Draw = Callable[[st.SearchStrategy[Any]], Any]

# Most commands follow at once; now and then one comes exactly when, or just before, something is due.
_ADVANCES_MS = (*[0] * 14, *[1_000] * 3, HOLD_S * 1_000 - 1, HOLD_S * 1_000, (TTL_S - HOLD_S) * 1_000, TTL_S * 1_000)
_TYPES = {
    "campaigns": (
        *["campaign.top_up"] * 4,
        "campaign.open",
        "campaign.pause",
        *["campaign.resume"] * 2,
        "campaign.close",
    ),
    "claims": (*["voucher.claim"] * 5, "voucher.expire"),
    "orders": (*["order.reserve"] * 4, "order.cancel", "order.expire"),
    "payments": (*["payment.settle"] * 2, "payment.refund"),
}
_ROOMS = ("campaigns", *["claims"] * 3, *["orders"] * 3, *["payments"] * 3)
# Changed to make the same business key with other content.
_CONTENT = {
    "campaign.open": ("budget_minor", 1), "campaign.top_up": ("quota", 1), "campaign.pause": ("reason", "other"),
    "campaign.resume": ("reason", "other"), "campaign.close": ("reason", "other"), "voucher.claim": ("city_tier", 6),
    "voucher.expire": ("voucher_id", "v0-0"), "order.reserve": ("amount_minor", 1), "order.cancel": ("reason", "other"),
    "order.expire": ("reason", "other"), "payment.settle": ("paid_minor", 1), "payment.refund": ("amount_minor", 1),
}  # fmt: skip


@dataclass(slots=True)
class Teller:
    """Tells a story command by command, and remembers what was said: what it names next mostly exists."""

    draw: Draw
    partitions: int = PARTITIONS
    now_ms: int = START_MS
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    steps: dict[str, list[Step]] = field(default_factory=dict)
    campaigns: dict[str, dict[str, Any]] = field(default_factory=dict)
    claimed: list[dict[str, Any]] = field(default_factory=list)
    ordered: list[dict[str, Any]] = field(default_factory=list)
    paid: list[dict[str, Any]] = field(default_factory=list)

    def pick(self, choices: Any) -> Any:
        """One of `choices`; shrinks to the first."""
        return self.draw(st.sampled_from(choices))

    def rarely(self) -> bool:
        """True once in eight times."""
        return bool(self.draw(st.integers(0, 7)) == 7)

    def name(self, letter: str, count: int) -> str:
        """An id from a pool so small that ids meet."""
        return f"{letter}-{self.draw(st.integers(1, count))}"

    def say(self, room: str, type_: str | None = None) -> Step:
        """The next command of `room`: a new one, or one said before, word for word or with other content."""
        self.now_ms += self.pick(_ADVANCES_MS)
        earlier = self.steps.setdefault(room, [])
        command = None
        if type_ is None and earlier and self.rarely():
            command = self.pick(earlier).command
            if self.draw(st.booleans()):
                changed, value = _CONTENT[command["type"]]
                command = {**command, "data": {**command["data"], changed: value}}
        if command is None:
            command = self._new(type_ or self.pick(_TYPES[room]), len(earlier))
        # The same user may come by any partition: producers hash keys differently.
        partition = self.draw(st.integers(0, self.partitions - 1))
        offset = self.offsets.get((room, partition), 0)
        self.offsets[room, partition] = offset + 1
        step = Step(room, partition, offset, self.now_ms, command)
        earlier.append(step)
        if command["type"] == "voucher.claim":
            self.claimed.append({**command["data"], "voucher_id": f"v{partition}-{offset}"})
        return step

    def _new(self, type_: str, number: int) -> dict[str, Any]:
        room, verb = type_.split(".")
        data = {
            "campaign.open": self._open,
            "voucher.claim": self._claim,
            "voucher.expire": self._expire_voucher,
            "order.reserve": self._reserve,
            "order.cancel": lambda: self._close_order(self.pick(("late", "dear", None))),
            "order.expire": lambda: self._close_order(None),
            "payment.settle": self._settle,
            "payment.refund": self._refund,
        }.get(type_, lambda: self._change(verb))()
        command_id = self.name("c", 6) if type_ == "voucher.claim" else f"{room}-{number}"
        return _envelope(type_, command_id, data, self.now_ms)

    def _open(self) -> dict[str, Any]:
        kind = self.pick(("free_order", "amount_off", "percent_off"))
        voucher = {"kind": kind, "face_value_minor": FACE_MINOR, "min_spend_minor": self.pick((0, 500))}
        if kind == "percent_off":
            voucher["percent_bp"] = self.pick((5_000, 1, 10_000))
        quota = self.draw(st.integers(0, 6))
        data: dict[str, Any] = {
            "campaign_id": self.name("spring", 2), "name": "Spring", "currency": "CNY", "quota": quota,
            "budget_minor": max(0, self.pick((quota, 2, 3)) * FACE_MINOR + self.pick((0, -1, 400))), "voucher": voucher,
            "starts_at": rfc3339(START_MS + self.pick((0, 1))), "ends_at": rfc3339(START_MS + OPEN_S * 1_000),
            "per_user_limit": self.pick((3, 2, 1)), "voucher_ttl_s": TTL_S, "hold_ttl_s": HOLD_S,
        }  # fmt: skip
        if self.draw(st.booleans()):
            data["categories"] = list(CATEGORIES)
            data["category_budgets_minor"] = {"tea": self.pick((700, 2_000, 0))}
        self.campaigns.setdefault(data["campaign_id"], data)
        return data

    def _campaign_id(self) -> str:
        return str(self.pick(list(self.campaigns) or ["spring-1"])) if not self.rarely() else self.name("spring", 3)

    def _change(self, verb: str) -> dict[str, Any]:
        data = {"campaign_id": self._campaign_id(), "approved_by": "finance", "reason": "as planned"}
        if verb == "top_up":
            data |= {"quota": self.draw(st.integers(0, 2)), "budget_minor": self.pick((0, FACE_MINOR, 600))}
        return data

    def _claim(self) -> dict[str, Any]:
        data: dict[str, Any] = {"campaign_id": self._campaign_id(), "user_id": self.name("u", 3)}
        if self.rarely():
            data |= {"city_tier": 3, "channel": "app\\n"}
        return data

    def _voucher(self) -> dict[str, Any]:
        """Some voucher with its owner, often the last one claimed; rarely another's, or none that exists."""
        nobodys = {"campaign_id": "spring-1", "user_id": "u-1", "voucher_id": "v9-9"}
        found = dict(self.pick(self.claimed[::-1]) if self.claimed and not self.rarely() else nobodys)
        if self.rarely():
            found["user_id"] = self.name("u", 3)
        return found

    def _expire_voucher(self) -> dict[str, Any]:
        found = self._voucher()
        if self.draw(st.booleans()):
            self.now_ms += TTL_S * 1_000
        return {name: found[name] for name in ("campaign_id", "user_id", "voucher_id")}

    def _reserve(self) -> dict[str, Any]:
        voucher = self._voucher()
        data = {
            "order_id": self.name("o", 6), "user_id": voucher["user_id"], "voucher_id": voucher["voucher_id"],
            "merchant_id": "m-1", "category": self.pick((*CATEGORIES, "film") if self.rarely() else CATEGORIES),
            "amount_minor": self.pick((800, 1_500, 499, 3)),
        }  # fmt: skip
        self.ordered.append({**data, "campaign_id": voucher["campaign_id"]})
        return data

    def _order(self) -> dict[str, Any]:
        nobodys = {"order_id": "o-9", "user_id": "u-1", "campaign_id": "spring-1", "amount_minor": 800}
        found = dict(self.pick(self.ordered[::-1]) if self.ordered and not self.rarely() else nobodys)
        if self.rarely():
            found["user_id"] = self.name("u", 3)
        return found

    def _close_order(self, reason: str | None) -> dict[str, Any]:
        found = self._order()
        data = {"order_id": found["order_id"], "user_id": found["user_id"]}
        return data if reason is None else {**data, "reason": reason}

    def _settle(self) -> dict[str, Any]:
        order = self._order()
        amount_minor = discount_minor = order["amount_minor"]
        rules = self.campaigns.get(order["campaign_id"], {}).get("voucher", {})
        if rules.get("kind") == "percent_off":
            discount_minor = amount_minor * rules["percent_bp"] // 10_000
        due_minor = amount_minor - min(discount_minor, FACE_MINOR)
        data = {
            "payment_id": self.name("p", 5), "order_id": order["order_id"], "user_id": order["user_id"],
            "paid_minor": due_minor + (1 if self.rarely() else 0),
        }  # fmt: skip
        self.paid.append(data)
        return data

    def _refund(self) -> dict[str, Any]:
        nobodys: dict[str, Any] = {"payment_id": "p-9", "order_id": "o-9", "user_id": "u-1", "paid_minor": 1}
        payment = self.pick(self.paid[::-1]) if self.paid and not self.rarely() else nobodys
        amount_minor = self.pick((payment["paid_minor"], payment["paid_minor"] // 2, 1))
        data = {name: payment[name] for name in ("payment_id", "order_id", "user_id")}
        return {**data, "refund_id": self.name("r", 5), "amount_minor": amount_minor}


def step(partition: int, room: str, command: dict[str, Any], *, offset: int = 0, at_ms: int = START_MS) -> Step:
    """A step told by hand."""
    return Step(room, partition, offset, at_ms, command)


def campaign_open(**changes: Any) -> dict[str, Any]:
    """`spring-1`: one free order, one a user."""
    data = {
        "campaign_id": "spring-1", "name": "Spring", "currency": "CNY", "quota": 1, "budget_minor": FACE_MINOR,
        "voucher": {"kind": "free_order", "face_value_minor": FACE_MINOR}, "starts_at": rfc3339(START_MS),
        "ends_at": rfc3339(START_MS + OPEN_S * 1_000), "per_user_limit": 1, "voucher_ttl_s": TTL_S,
        "hold_ttl_s": HOLD_S,
    }  # fmt: skip
    return _envelope("campaign.open", "open-1", {**data, **changes})


def claim(command_id: str, user_id: str = "u-1") -> dict[str, Any]:
    """A claim of `spring-1`."""
    return _envelope("voucher.claim", command_id, {"campaign_id": "spring-1", "user_id": user_id})


def expire(user_id: str, voucher_id: str) -> dict[str, Any]:
    """The end of a voucher of `spring-1`."""
    data = {"campaign_id": "spring-1", "user_id": user_id, "voucher_id": voucher_id}
    return _envelope("voucher.expire", f"expire-{voucher_id}", data)


def _envelope(type_: str, command_id: str, data: dict[str, Any], at_ms: int = START_MS) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": command_id, "source": "test", "type": type_, "time": rfc3339(at_ms), "data": data,
    }  # fmt: skip


@st.composite
def stories(draw: Draw, *, rooms: tuple[str, ...] = _ROOMS, phases_max: int = 9, batch_max: int = 8) -> Story:
    """One or two campaigns opened, and then batches of one room each; `rooms` are told as often as they are named."""
    teller = Teller(draw, now_ms=draw(st.sampled_from((START_MS + 1, START_MS))))
    story = [[teller.say("campaigns", "campaign.open") for _ in range(draw(st.integers(1, 2)))]]
    told = draw(st.lists(st.sampled_from(rooms), min_size=1, max_size=phases_max))
    return story + [[teller.say(room) for _ in range(draw(st.integers(1, batch_max)))] for room in ("claims", *told)]

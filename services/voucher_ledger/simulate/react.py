"""What users do when they are answered: orders, cancels, payments, refunds. Pure: an event in, commands out.

Every choice is drawn by hashing the ids in the event with the seed, so a user needs no memory and the same voucher
always has the same story. Each story ends: a first order (`…-1`) may be followed by a second, never by a third.
"""

from collections.abc import Callable, Iterator
from typing import Any

from voucher_ledger.core.clock import milliseconds
from voucher_ledger.produce.records import TimedCommand
from voucher_ledger.simulate.catalogue import NOT_ALLOWED_CATEGORY, tier_at, vertical_at
from voucher_ledger.simulate.scenario import (
    CHANCES,
    Scenario,
    chance,
    command,
    command_prefix,
)

CLAIM_TOPIC = "claim.commands"
ORDER_TOPIC = "order.commands"
PAYMENT_TOPIC = "payment.commands"

# Users act within two seconds (of simulated time), so that a hold of five still lives when it is paid for.
_THINK_MS_MAX = 2_000

Data = dict[str, Any]


class Users:
    """All users of a scenario. Only answers of its own campaign move them."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        self._seed = seed
        self._prefix = command_prefix(scenario, seed)
        self._reactions: dict[str, Callable[[Data, int], Iterator[TimedCommand]]] = {
            "voucher.granted": self._granted,
            "voucher.expired": self._voucher_expired,
            "order.reserved": self._reserved,
            "order.cancelled": self._cancelled,
            "order.expired": self._order_expired,
            "order.rejected": self._refused,
            "payment.settled": self._settled,
            "payment.refunded": self._refunded,
        }

    def react(self, event: dict[str, Any]) -> list[TimedCommand]:
        """Return what follows from an event (a CloudEvents envelope); nothing from one that is a duplicate's answer."""
        reaction = self._reactions.get(event["type"])
        data = event["data"]
        if reaction is None or "duplicate" in data or data.get("campaign_id") != self._scenario.campaign_id:
            return []
        return list(reaction(data, milliseconds(event["time"])))

    def _chance(self, purpose: str, name: str) -> int:
        return chance(self._seed, purpose, name)

    def _command(self, topic: str, type_: str, name: str, after_ms: int, data: Data) -> TimedCommand:
        time_ms = after_ms + 1 + self._chance("think", name) * _THINK_MS_MAX // CHANCES
        return command(topic, type_, f"{self._prefix}{name}", time_ms, data["user_id"], data)

    def _reserve(self, order_id: str, voucher_id: str, user_id: str, after_ms: int, **change: object) -> TimedCommand:
        wave = self._scenario.wave
        vertical = vertical_at(wave, self._chance("category", order_id) / CHANCES)
        # Squared, since small orders are the many.
        span_minor = max(1, vertical.amount_minor_max - self._scenario.min_spend_minor)
        over_minor = span_minor * self._chance("amount", order_id) ** 2 // CHANCES**2
        amount_minor = max(1, self._scenario.min_spend_minor + over_minor)
        data: Data = {
            "order_id": order_id,
            "user_id": user_id,
            "voucher_id": voucher_id,
            "merchant_id": f"m-{self._chance('merchant', order_id)}",
            "category": vertical.category,
            "city_tier": tier_at(wave, self._chance("tier", user_id) / CHANCES),
            "amount_minor": amount_minor,
        }
        return self._command(ORDER_TOPIC, "order.reserve", f"{order_id}/reserve", after_ms, data | change)

    def _granted(self, data: Data, at_ms: int) -> Iterator[TimedCommand]:
        voucher_id, user_id = data["voucher_id"], data["user_id"]
        odd = self._chance("odd", voucher_id)
        if odd < 10:
            yield self._reserve(f"{voucher_id}-thief", voucher_id, f"{user_id}-thief", at_ms)
        elif odd < 20:
            yield self._reserve(f"{voucher_id}-wrong", voucher_id, user_id, at_ms, category=NOT_ALLOWED_CATEGORY)
        elif odd < 30:
            little_minor = max(1, self._scenario.min_spend_minor - 1)
            yield self._reserve(f"{voucher_id}-small", voucher_id, user_id, at_ms, amount_minor=little_minor)
        elif odd < 35:
            yield self._reserve(f"{voucher_id}-typo", f"{voucher_id}x", user_id, at_ms)
        elif odd < 40:
            yield self._expire(f"{voucher_id}/early", data, user_id, at_ms)
        elif odd < 45:
            yield self._expire(f"{voucher_id}/thief", data, f"{user_id}-thief", at_ms)
        # 18 % never order: their vouchers expire.
        if self._chance("orders", voucher_id) < 820:
            order = self._reserve(f"{voucher_id}-1", voucher_id, user_id, at_ms)
            yield order
            if 100 <= odd < 130:
                yield order
            elif 130 <= odd < 140:
                yield self._reserve(f"{voucher_id}-1", voucher_id, user_id, at_ms, merchant_id="m-other")
            elif 140 <= odd < 160:
                # One voucher for two orders at once.
                yield self._reserve(f"{voucher_id}-twice", voucher_id, user_id, at_ms)
            elif 160 <= odd < 165:
                yield self._expire(f"{voucher_id}/held", data, user_id, at_ms)

    def _expire(self, name: str, data: Data, user_id: str, at_ms: int) -> TimedCommand:
        content = {"campaign_id": data["campaign_id"], "user_id": user_id, "voucher_id": data["voucher_id"]}
        return self._command(CLAIM_TOPIC, "voucher.expire", name, at_ms, content)

    def _voucher_expired(self, data: Data, at_ms: int) -> Iterator[TimedCommand]:
        voucher_id = data["voucher_id"]
        if self._chance("too late", voucher_id) < 100:
            yield self._reserve(f"{voucher_id}-late", voucher_id, data["user_id"], at_ms)

    def _refused(self, data: Data, at_ms: int) -> Iterator[TimedCommand]:
        if data["reason"] == "category_budget_exhausted" and data["order_id"] == f"{data['voucher_id']}-1":
            yield self._reserve(f"{data['voucher_id']}-2", data["voucher_id"], data["user_id"], at_ms, category="tea")

    def _reserved(self, data: Data, at_ms: int) -> Iterator[TimedCommand]:
        order_id = data["order_id"]
        story = self._chance("story", order_id)
        if story < 90:
            yield from self._cancel(data, at_ms, twice=story < 20, otherwise=20 <= story < 25)
        elif story < 160:
            return  # forgotten: the hold expires
        else:
            yield from self._settle(data, at_ms, story)

    def _cancel(self, data: Data, at_ms: int, *, twice: bool, otherwise: bool) -> Iterator[TimedCommand]:
        order_id = data["order_id"]
        content = {"order_id": order_id, "user_id": data["user_id"], "reason": "changed my mind"}
        first = self._command(ORDER_TOPIC, "order.cancel", f"{order_id}/cancel", at_ms, content)
        yield first
        if twice:
            yield first
        if otherwise:
            content = content | {"reason": "found it cheaper"}
            yield self._command(ORDER_TOPIC, "order.cancel", f"{order_id}/cancel-again", at_ms, content)

    def _settle(self, data: Data, at_ms: int, story: int) -> Iterator[TimedCommand]:
        paid_minor = data["amount_minor"] - data["discount_minor"]
        if story < 180:
            yield self._pay(data, at_ms, f"{data['order_id']}-short", paid_minor + 1)
        elif story < 185:
            yield self._pay(data, at_ms, f"{data['order_id']}-lost", paid_minor, order_id=f"{data['order_id']}x")
        elif story < 190:
            yield self._pay(data, at_ms, f"{data['order_id']}-thief", paid_minor, user_id=f"{data['user_id']}-thief")
        right = self._pay(data, at_ms, f"p-{data['order_id']}", paid_minor)
        yield right
        if story < 230:
            yield right
        elif story < 235:
            yield self._pay(data, at_ms, f"p-{data['order_id']}", paid_minor + 1)
        elif story < 240:
            yield self._pay(data, at_ms, f"{data['order_id']}-twice", paid_minor)

    def _pay(self, data: Data, at_ms: int, payment_id: str, paid_minor: int, **change: object) -> TimedCommand:
        content = {
            "payment_id": payment_id,
            "order_id": data["order_id"],
            "user_id": data["user_id"],
            "paid_minor": paid_minor,
        }
        return self._command(PAYMENT_TOPIC, "payment.settle", f"{payment_id}/settle", at_ms, content | change)

    def _cancelled(self, data: Data, at_ms: int) -> Iterator[TimedCommand]:
        story = self._chance("after cancel", data["order_id"])
        if story < 100:
            yield self._pay(data, at_ms, f"{data['order_id']}-closed", 1)
        if story >= 500:
            yield from self._second_order(data, at_ms)

    def _order_expired(self, data: Data, at_ms: int) -> Iterator[TimedCommand]:
        story = self._chance("after expiry", data["order_id"])
        if story < 300:
            yield self._pay(data, at_ms, f"{data['order_id']}-late", 0)
        elif story < 350:
            yield from self._cancel(data, at_ms, twice=False, otherwise=False)
        elif story < 600:
            yield from self._second_order(data, at_ms)

    def _second_order(self, data: Data, at_ms: int) -> Iterator[TimedCommand]:
        voucher_id = data["voucher_id"]
        if data["order_id"] == f"{voucher_id}-1":
            yield self._reserve(f"{voucher_id}-2", voucher_id, data["user_id"], at_ms)

    def _settled(self, data: Data, at_ms: int) -> Iterator[TimedCommand]:
        order_id, paid_minor = data["order_id"], data["paid_minor"]
        story = self._chance("after payment", order_id)
        if story < 40:
            whole = self._refund(data, at_ms, "whole", paid_minor)
            yield whole
            if story < 10:
                yield whole
            elif story < 13:
                yield self._refund(data, at_ms, "whole", paid_minor + 1)
            elif story < 16:
                yield self._refund(data, at_ms, "twice", paid_minor)
        elif story < 70 and paid_minor > 1:
            yield self._refund(data, at_ms, "part", paid_minor // 2)
            if story < 50:
                yield self._refund(data, at_ms, "rest", paid_minor - paid_minor // 2)
        elif story < 80:
            yield self._refund(data, at_ms, "greedy", paid_minor + 1)
        elif story < 85:
            yield self._refund(data, at_ms, "unknown", paid_minor, payment_id=f"{data['payment_id']}x")
        elif story < 95:
            # The voucher once more, now that it is spent.
            yield self._reserve(f"{data['voucher_id']}-spent", data["voucher_id"], data["user_id"], at_ms)
        elif story < 97 and paid_minor > 0:
            yield self._refund(data, at_ms, "nothing", 0)
        elif story < 100:
            yield self._expire(f"{data['voucher_id']}/spent", data, data["user_id"], at_ms)

    def _refund(self, data: Data, at_ms: int, which: str, amount_minor: int, **change: object) -> TimedCommand:
        content = {
            "refund_id": f"r-{data['order_id']}-{which}",
            "payment_id": data["payment_id"],
            "order_id": data["order_id"],
            "user_id": data["user_id"],
            "amount_minor": amount_minor,
            "reason": "not as described",
        }
        name = f"r-{data['order_id']}-{which}/{amount_minor}"
        return self._command(PAYMENT_TOPIC, "payment.refund", name, at_ms, content | change)

    def _refunded(self, data: Data, at_ms: int) -> Iterator[TimedCommand]:
        if data["voucher_restored"]:
            yield from self._second_order(data, at_ms)

"""What users would have paid and been given back, where the changed rules give another discount.

A settlement must pay exactly what the order costs, so a recorded one would be refused for no other reason than that the
price is another. One that paid the price under the recorded rules pays the price under the changed ones; a refund of
all that was left gives back all that is left. Everything else stays as it was recorded.
"""

from collections.abc import Sequence
from dataclasses import replace

import psycopg

from voucher_ledger.core.records import Command

_PRICES = "SELECT order_id, amount_minor - discount_minor FROM books.reservation WHERE order_id = ANY(%s)"
_LEFT = "SELECT payment_id, paid_minor - refunded_minor FROM books.payment WHERE payment_id = ANY(%s)"
_REFUNDS = "SELECT refund_id, amount_minor FROM books.refund WHERE refund_id = ANY(%s)"


class Prices:
    """Reprices payments of the `changed` sandbox by what the `baseline` one says, both before they are decided."""

    def __init__(self, baseline: psycopg.Connection, changed: psycopg.Connection) -> None:
        self._baseline = baseline
        self._changed = changed
        self.count = 0

    def repriced(self, commands: Sequence[Command]) -> list[Command]:
        """The commands with the amounts that they would have had. A user has one payment in a batch at most."""
        settles = [command for command in commands if command.type == "payment.settle"]
        refunds = [command for command in commands if command.type == "payment.refund"]
        prices = self._both(_PRICES, [command.data["order_id"] for command in settles])
        left = self._both(_LEFT, [command.data["payment_id"] for command in refunds])
        again = self._both(_REFUNDS, [command.data["refund_id"] for command in refunds])
        found = []
        for command in commands:
            data = command.data
            if command.type == "payment.settle":
                field, known = "paid_minor", prices.get(data["order_id"])
            else:
                field, known = "amount_minor", again.get(data["refund_id"]) or left.get(data["payment_id"])
            if known is not None and known[0] == data[field] != known[1]:
                self.count += 1
                found.append(replace(command, data={**data, field: known[1]}))
            else:
                found.append(command)
        return found

    def _both(self, query: str, ids: list[str]) -> dict[str, tuple[int, int]]:
        """What both sandboxes say of those that both know."""
        if not ids:
            return {}
        one: dict[str, int] = dict(self._baseline.execute(query.encode(), (ids,)).fetchall())
        other: dict[str, int] = dict(self._changed.execute(query.encode(), (ids,)).fetchall())
        return {name: (one[name], other[name]) for name in one.keys() & other.keys()}

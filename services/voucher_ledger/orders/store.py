"""The orders room's part of the books."""

from collections.abc import Sequence

import psycopg

from voucher_ledger.core.records import Command
from voucher_ledger.ledger import accounts, campaigns, category_budgets, reservations, vouchers
from voucher_ledger.ledger.errors import Contended
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.orders.decide import decide
from voucher_ledger.orders.evolve import evolve
from voucher_ledger.orders.several import voucher_ids
from voucher_ledger.orders.state import Orders


class OrdersRoom:
    """Reservations, cancels and expiries of holds."""

    name = "orders"
    command_topic = "order.commands"
    event_topic = "order.events"
    key_field = "user_id"

    def prepare(self, connection: psycopg.Connection, commands: Sequence[Command], *, lock: bool) -> Orders:
        """An empty working set: orders draw nothing beforehand."""
        del connection, commands, lock
        return Orders(Journal(self.command_topic))

    def load(self, connection: psycopg.Connection, state: Orders, commands: Sequence[Command], *, lock: bool) -> None:
        """The batch's vouchers, reservations, campaigns and category budgets.

        Raises Contended where, while locking, a reservation came to be whose voucher is not among those locked.
        """
        order_ids = {command.data["order_id"] for command in commands}
        wanted: set[str] = set()
        for command in commands:
            if command.type == "order.reserve":
                wanted.update(voucher_ids(command.data))
        if lock:
            wanted |= reservations.voucher_ids(connection, order_ids)
        # Vouchers first: a reservation made between the two reads is then seen, and its order answered as a duplicate.
        if wanted:
            state.vouchers = {v.voucher_id: v for v in vouchers.load_by_id(connection, wanted, lock=lock)}
        state.reservations = reservations.load(connection, order_ids, lock=lock)
        missing = reservations.vouchers_of(state.reservations.values()) - state.vouchers.keys()
        if missing:
            if lock:
                raise Contended(f"{len(missing)} vouchers were reserved between the read and the lock")
            for voucher in vouchers.load_by_id(connection, missing, lock=False):
                state.vouchers[voucher.voucher_id] = voucher
        if state.vouchers:
            campaign_ids = {voucher.campaign_id for voucher in state.vouchers.values()}
            state.campaigns = campaigns.load(connection, campaign_ids)
            state.category_left_minor = category_budgets.load_left(connection, _categories(state, commands), lock=lock)

    decide = staticmethod(decide)
    evolve = staticmethod(evolve)

    def write(self, connection: psycopg.Connection, state: Orders) -> None:
        """Vouchers, reservations and category budgets, and last the journal with the accounts."""
        vouchers.update(connection, list(state.changed_vouchers.values()))
        reservations.insert(connection, state.reserved)
        reservations.update(connection, state.changed_reservations.values())
        category_budgets.commit(connection, state.category_committed_minor)
        accounts.write_journal(connection, state.journal)


def _categories(state: Orders, commands: Sequence[Command]) -> set[tuple[str, str]]:
    """The (campaign_id, category) pairs that the batch may commit to or give back from."""
    pairs = {(r.campaign_id, r.category) for r in state.reservations.values()}
    for command in commands:
        if command.type == "order.reserve":
            voucher = state.vouchers.get(command.data["voucher_id"])
            if voucher is not None:
                pairs.add((voucher.campaign_id, command.data["category"]))
    return pairs

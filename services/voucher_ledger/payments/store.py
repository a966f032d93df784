"""The payments room's part of the books."""

from collections.abc import Sequence

import psycopg

from voucher_ledger.core.records import Command
from voucher_ledger.ledger import accounts, category_budgets, payments, refunds, reservations, vouchers
from voucher_ledger.ledger.errors import Contended
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.payments.decide import decide
from voucher_ledger.payments.evolve import evolve
from voucher_ledger.payments.state import Payments


class PaymentsRoom:
    """Settlements and refunds."""

    name = "payments"
    command_topic = "payment.commands"
    event_topic = "payment.events"
    key_field = "user_id"

    def prepare(self, connection: psycopg.Connection, commands: Sequence[Command], *, lock: bool) -> Payments:
        """An empty working set: payments draw nothing beforehand."""
        del connection, commands, lock
        return Payments(Journal(self.command_topic))

    def load(self, connection: psycopg.Connection, state: Payments, commands: Sequence[Command], *, lock: bool) -> None:
        """The batch's orders with their vouchers, payments and refunds, and the category budgets that refunds fill.

        Raises Contended where, while locking, a reservation came to be whose voucher is not among those locked.
        """
        order_ids = {command.data["order_id"] for command in commands}
        refund_ids = {command.data["refund_id"] for command in commands if command.type == "payment.refund"}
        _load_orders(connection, state, order_ids, lock=lock)
        # After the reservations, and refunds last: what another partition settled or refunded between the reads is
        # then seen by its own id, and answered as a duplicate.
        payment_ids = {command.data["payment_id"] for command in commands}
        state.payments = payments.load(connection, payment_ids, lock=lock)
        if refund_ids:
            state.refunds = refunds.load(connection, refund_ids)
            pairs = {(r.campaign_id, r.category) for r in state.reservations.values()}
            state.category_left_minor = category_budgets.load_left(connection, pairs, lock=lock)

    decide = staticmethod(decide)
    evolve = staticmethod(evolve)

    def write(self, connection: psycopg.Connection, state: Payments) -> None:
        """Vouchers, reservations, payments, refunds and category budgets, and last the journal with the accounts."""
        vouchers.update(connection, list(state.changed_vouchers.values()))
        reservations.update(connection, state.changed_reservations.values())
        payments.insert(connection, state.settled)
        payments.update(connection, state.changed_payments.values())
        refunds.insert(connection, state.refunded)
        category_budgets.commit(connection, state.category_committed_minor)
        accounts.write_journal(connection, state.journal)


def _load_orders(connection: psycopg.Connection, state: Payments, order_ids: set[str], *, lock: bool) -> None:
    """The reservations and their vouchers; where they are locked, the vouchers first, as every room does."""
    if lock:
        wanted = reservations.voucher_ids(connection, order_ids)
        state.vouchers = {v.voucher_id: v for v in vouchers.load_by_id(connection, wanted, lock=True)}
    state.reservations = reservations.load(connection, order_ids, lock=lock)
    missing = reservations.vouchers_of(state.reservations.values()) - state.vouchers.keys()
    if not missing:
        return
    if lock:
        raise Contended(f"{len(missing)} vouchers were reserved between the read and the lock")
    for voucher in vouchers.load_by_id(connection, missing, lock=False):
        state.vouchers[voucher.voucher_id] = voucher

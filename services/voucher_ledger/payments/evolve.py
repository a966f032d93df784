"""How an accepted settlement or refund changes the working set: payments, reservations, vouchers, journal. No IO."""

from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger.model import Payment, Refund, Reservation, Role, RoleName, Voucher
from voucher_ledger.payments.state import Payments


def evolve(state: Payments, command: Command, event: Event) -> None:
    """Apply `event`, the outcome of `command`; refusals and duplicates change nothing."""
    if event.type == "payment.rejected" or "duplicate" in event.data:
        return
    if event.type == "payment.settled":
        _settle(state, command)
    else:
        _refund(state, command, event)


def _settle(state: Payments, command: Command) -> None:
    data = command.data
    reservation = state.reservations[data["order_id"]]
    payment = Payment(
        data["payment_id"],
        reservation.order_id,
        reservation.user_id,
        data["paid_minor"],
        reservation.discount_minor,
        0,
        "settled",
        command.time_ms,
    )
    state.payments[payment.payment_id] = payment
    state.settled.append(payment)
    for place, (voucher_id, discount_minor) in enumerate(reservation.shares()):
        voucher = state.vouchers[voucher_id]
        unused_minor = voucher.face_value_minor - discount_minor
        held = (Role.HELD, voucher.shard)
        _move(state, command, 2 * place, reservation, voucher, (held, (Role.SPENT, voucher.shard)), (1, discount_minor))
        if unused_minor:
            _move(state, command, 2 * place + 1, reservation, voucher, (held, (Role.POOL, 0)), (0, unused_minor))
        _change_voucher(state, voucher, "spent", discount_minor)
    _close_reservation(state, reservation, "settled")


def _refund(state: Payments, command: Command, event: Event) -> None:
    data = command.data
    payment = state.payments[data["payment_id"]]
    refund = Refund(
        data["refund_id"],
        payment.payment_id,
        payment.order_id,
        payment.user_id,
        data["amount_minor"],
        data.get("reason"),
        event.data["discount_returned_minor"],
        event.data["voucher_restored"],
    )
    state.refunds[refund.refund_id] = refund
    state.refunded.append(refund)
    payment.refunded_minor += refund.amount_minor
    if payment.refunded_minor == payment.paid_minor:
        payment.state = "refunded"
        _give_back_discount(state, command, payment, restored=refund.voucher_restored)
    if payment.version >= 0:  # one settled in this batch is written with its last state anyway
        state.changed_payments[payment.payment_id] = payment


def _give_back_discount(state: Payments, command: Command, payment: Payment, *, restored: bool) -> None:
    reservation = state.reservations[payment.order_id]
    for place, (voucher_id, discount_minor) in enumerate(reservation.shares()):
        voucher = state.vouchers[voucher_id]
        taker = (Role.GRANTED, voucher.shard) if restored else (Role.POOL, 0)
        _move(state, command, place, reservation, voucher, ((Role.SPENT, voucher.shard), taker), (1, discount_minor))
        _change_voucher(state, voucher, "granted" if restored else "expired", discount_minor)
    key = (reservation.campaign_id, reservation.category)
    if key in state.category_left_minor:
        state.category_left_minor[key] += payment.discount_minor
        state.category_committed_minor[key] = state.category_committed_minor.get(key, 0) - payment.discount_minor
    _close_reservation(state, reservation, "refunded")


def _close_reservation(state: Payments, reservation: Reservation, closed_as: str) -> None:
    reservation.state = closed_as
    state.changed_reservations[reservation.order_id] = reservation


def _change_voucher(state: Payments, voucher: Voucher, new_state: str, value_minor: int) -> None:
    """Set the voucher's state, and its worth to what the accounts hold for it: the sums by state equal the balances."""
    voucher.state = new_state
    voucher.face_value_minor = value_minor
    state.changed_vouchers[voucher.voucher_id] = voucher


def _move(
    state: Payments,
    command: Command,
    index: int,
    reservation: Reservation,
    voucher: Voucher,
    accounts: tuple[tuple[RoleName, int], tuple[RoleName, int]],
    moved: tuple[int, int],
) -> None:
    """Post (vouchers, amount_minor) from the first (role, shard) of `accounts` to the second."""
    state.journal.post(
        command,
        index,
        voucher.campaign_id,
        accounts[0],
        accounts[1],
        moved[0],
        moved[1],
        voucher.voucher_id,
        reservation.order_id,
    )

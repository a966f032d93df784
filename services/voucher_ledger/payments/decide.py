"""Payments: what is settled and what goes back. Pure: the state and the command in, the event out, nothing changed."""

from voucher_ledger.core.records import Command, Event, rejected
from voucher_ledger.ledger.model import Payment, Refund, Reservation
from voucher_ledger.payments.state import Payments


def decide(state: Payments, command: Command) -> Event:
    """The outcome of a `payment.settle` or `payment.refund`."""
    if command.type == "payment.settle":
        return _settle(state, command)
    return _refund(state, command)


def _settle(state: Payments, command: Command) -> Event:
    data = command.data
    reservation = state.reservations.get(data["order_id"])
    if reservation is not None and reservation.user_id != data["user_id"]:
        reservation = None
    payment = state.payments.get(data["payment_id"])
    if payment is not None:
        return _settle_again(payment, reservation, command)
    if reservation is None:
        return rejected("payment.rejected", command, "unknown_order", data)
    # The time is asked of a hold only: an order that was settled or cancelled in time did not miss its end.
    due = reservation.state == "held" and command.time_ms >= reservation.expires_at_ms
    if due or reservation.state == "expired":
        return _refused(command, "hold_expired", reservation)
    if reservation.state != "held":
        return _refused(command, "order_not_open", reservation)
    due_minor = reservation.amount_minor - reservation.discount_minor
    if data["paid_minor"] != due_minor:
        return _refused(command, "amount_mismatch", reservation, f"the order costs {due_minor} after the discount")
    return Event(
        "payment.settled",
        {
            **data,
            "command_id": command.id,
            **reservation.known(),
            **reservation.discounts(),
        },
    )


def _settle_again(payment: Payment, reservation: Reservation | None, command: Command) -> Event:
    data = command.data
    if reservation is None or data["order_id"] != payment.order_id or data["paid_minor"] != payment.paid_minor:
        return _refused(command, "conflict", reservation, "this payment_id was settled before with other content")
    return Event(
        "payment.settled",
        {
            **data,
            "command_id": command.id,
            **reservation.known(),
            **reservation.discounts(),
            "duplicate": True,
        },
    )


def _refund(state: Payments, command: Command) -> Event:
    data = command.data
    reservation = state.reservations.get(data["order_id"])
    if reservation is not None and reservation.user_id != data["user_id"]:
        reservation = None
    refund = state.refunds.get(data["refund_id"])
    if refund is not None:
        return _refund_again(refund, reservation, command)
    payment = state.payments.get(data["payment_id"])
    if reservation is None or payment is None or payment.order_id != reservation.order_id:
        return _refused(command, "unknown_payment", reservation)
    left_minor = payment.paid_minor - payment.refunded_minor
    if payment.state == "refunded" or data["amount_minor"] > left_minor:
        return _refused(command, "refund_exceeds_payment", reservation, f"{left_minor} is left to refund")
    if data["amount_minor"] == 0 and payment.paid_minor > 0:
        return _refused(command, "amount_mismatch", reservation, f"nothing to refund was named; {left_minor} is left")
    whole = data["amount_minor"] == left_minor
    return Event(
        "payment.refunded",
        {
            **data,
            "command_id": command.id,
            **reservation.known(),
            "discount_returned_minor": payment.discount_minor if whole else 0,
            "voucher_restored": whole and _restorable(state, reservation, command.time_ms),
        },
    )


def _restorable(state: Payments, reservation: Reservation, time_ms: int) -> bool:
    """Whether the vouchers return to the user: all of them, as long as one of them can still be used.

    None is taken because another one's time has passed; one that returns past its time expires as after a cancel.
    """
    return any(time_ms < state.vouchers[voucher_id].expires_at_ms for voucher_id, _ in reservation.shares())


def _refund_again(refund: Refund, reservation: Reservation | None, command: Command) -> Event:
    data = command.data
    if (
        reservation is None
        or data["payment_id"] != refund.payment_id
        or data["order_id"] != refund.order_id
        or data["amount_minor"] != refund.amount_minor
        or data.get("reason") != refund.reason
    ):
        return _refused(command, "conflict", reservation, "this refund_id was refunded before with other content")
    return Event(
        "payment.refunded",
        {
            **data,
            "command_id": command.id,
            **reservation.known(),
            "discount_returned_minor": refund.discount_returned_minor,
            "voucher_restored": refund.voucher_restored,
            "duplicate": True,
        },
    )


def _refused(command: Command, reason: str, reservation: Reservation | None, detail: str | None = None) -> Event:
    """A refusal that names the voucher and campaign where the order is known, and is the user's own."""
    data = command.data
    if reservation is not None:
        data = {**data, "voucher_id": reservation.voucher_id, "campaign_id": reservation.campaign_id}
    if detail is not None:
        data = {**data, "detail": detail}
    return rejected("payment.rejected", command, reason, data)

"""What events say that the ledger must hold: an independent small fold, which shares nothing with the rooms' evolve.

It takes the events of some users, all of theirs: a user's vouchers, orders and payments depend on nobody else's. It
asks for one order only, that of the types (TYPES): in which order topics and partitions tell of things is not needed,
since what an order or a payment did is kept with it, and a voucher's state is only told at the end. Duplicates change
nothing and are not given to it, and of the refusals only those that may end a user's waiting. No IO.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from voucher_ledger.core.clock import milliseconds
from voucher_ledger.ledger.model import Payment, Refund, Reservation, Voucher
from voucher_ledger.replay.fold_waiting import ENDS_WAITING, FoldedWaiting

EventData = dict[str, Any]
Use = tuple[Reservation, int]
"""An order of a voucher, and what the voucher takes off it in minor units."""


def is_effective(event: EventData) -> bool:
    """Whether an event changed something: what a fold takes."""
    data = event["data"]
    if event["type"] == "voucher.rejected":
        return data["reason"] in ENDS_WAITING  # it may: whether its user waited, other events tell
    return "duplicate" not in data and event["type"] in EFFECTS


def rank_of(event: EventData) -> int:
    """The place of an effective event's type among the others."""
    return _RANKS[event["type"]]


@dataclass(slots=True)
class Fold:
    """The rows of some users by key, as `ledger.model` has them; `faults` are events that contradict each other.

    A voucher's `shard` is the partition of its claim: which shard's accounts it went through, no event tells.
    """

    vouchers: dict[str, Voucher] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    expired: set[str] = field(default_factory=set)
    restored_by: set[str] = field(default_factory=set)
    payment_of_order: dict[str, Payment] = field(default_factory=dict)
    waiting: FoldedWaiting = field(default_factory=FoldedWaiting)
    granted_count: Counter[tuple[str, str]] = field(default_factory=Counter)

    def apply(self, event: EventData) -> None:
        """Take one effective event."""
        EFFECTS[event["type"]](self, event, event["data"])

    def finish(self) -> None:
        """Tell the states that depend on several events: call it once, after the last of them."""
        for payment in self.payments.values():
            _finish_payment(self, payment)
        using: dict[str, list[Use]] = {}
        for reservation in self.reservations.values():
            for voucher_id, discount_minor in reservation.shares():
                using.setdefault(voucher_id, []).append((reservation, discount_minor))
        for voucher in self.vouchers.values():
            _finish_voucher(self, voucher, using.get(voucher.voucher_id, []))

    def blame(self, event: EventData, text: str) -> None:
        """Note that `event` contradicts others."""
        self.faults.append(f"{event['id']} ({event['type']}): {text}")


def _granted(fold: Fold, event: EventData, data: EventData) -> None:
    if data["voucher_id"] in fold.vouchers:
        fold.blame(event, f"voucher {data['voucher_id']} was granted before")
        return
    owner = (data["campaign_id"], data["user_id"])
    fold.granted_count[owner] += 1
    fold.vouchers[data["voucher_id"]] = Voucher(
        data["voucher_id"],
        *owner,
        fold.granted_count[owner],
        int(event["id"].split("/")[1]),
        "granted",
        data["face_value_minor"],
        milliseconds(event["time"]),
        milliseconds(data["expires_at"]),
        data["command_id"],
        data.get("city_tier"),
        data.get("channel"),
        device_id=data.get("device_id"),
    )


def _granted_or_admitted(fold: Fold, event: EventData, data: EventData) -> None:
    _granted(fold, event, data)
    fold.waiting.left(event, admitted=True)


def _queued(fold: Fold, event: EventData, _data: EventData) -> None:
    fold.waiting.queued(event)


def _refused(fold: Fold, event: EventData, _data: EventData) -> None:
    fold.waiting.left(event, admitted=False)


def _voucher_expired(fold: Fold, event: EventData, data: EventData) -> None:
    if data["voucher_id"] not in fold.vouchers:
        fold.blame(event, f"voucher {data['voucher_id']} was never granted")
    elif data["voucher_id"] in fold.expired:
        fold.blame(event, f"voucher {data['voucher_id']} expired before")
    fold.expired.add(data["voucher_id"])


def _reserved(fold: Fold, event: EventData, data: EventData) -> None:
    if data["order_id"] in fold.reservations:
        fold.blame(event, f"order {data['order_id']} was reserved before")
        return
    for voucher_id in (data["voucher_id"], *data.get("more_voucher_ids", ())):
        if voucher_id not in fold.vouchers:
            fold.blame(event, f"voucher {voucher_id} was never granted")
    fold.reservations[data["order_id"]] = Reservation(
        data["order_id"],
        data["voucher_id"],
        data["campaign_id"],
        data["user_id"],
        data["merchant_id"],
        data["category"],
        data.get("city_tier"),
        data["amount_minor"],
        data["discount_minor"],
        "held",
        milliseconds(event["time"]),
        milliseconds(data["expires_at"]),
        more_voucher_ids=tuple(data.get("more_voucher_ids", ())),
        voucher_discounts_minor=tuple(data.get("voucher_discounts_minor", ())),
    )


def _released(fold: Fold, event: EventData, data: EventData) -> None:
    reservation = fold.reservations.get(data["order_id"])
    if reservation is None or reservation.state != "held":
        state = "never reserved" if reservation is None else reservation.state
        fold.blame(event, f"order {data['order_id']} was {state}")
        return
    reservation.state = "cancelled" if event["type"] == "order.cancelled" else "expired"
    reservation.closing_reason = data.get("reason")


def _settled(fold: Fold, event: EventData, data: EventData) -> None:
    reservation = fold.reservations.get(data["order_id"])
    if data["payment_id"] in fold.payments:
        fold.blame(event, f"payment {data['payment_id']} was settled before")
        return
    if reservation is None or reservation.state != "held":
        state = "never reserved" if reservation is None else reservation.state
        fold.blame(event, f"order {data['order_id']} was {state}")
    else:
        reservation.state = "settled"
    payment = Payment(
        data["payment_id"],
        data["order_id"],
        data["user_id"],
        data["paid_minor"],
        data["discount_minor"],
        0,
        "settled",
        milliseconds(event["time"]),
    )
    fold.payments[payment.payment_id] = fold.payment_of_order[payment.order_id] = payment


def _refunded(fold: Fold, event: EventData, data: EventData) -> None:
    payment = fold.payments.get(data["payment_id"])
    if data["refund_id"] in fold.refunds:
        fold.blame(event, f"refund {data['refund_id']} was made before")
        return
    if payment is None or payment.refunded_minor + data["amount_minor"] > payment.paid_minor:
        fold.blame(
            event, f"payment {data['payment_id']} was {'never settled' if payment is None else 'less than that'}"
        )
    else:
        payment.refunded_minor += data["amount_minor"]
        if payment.refunded_minor == payment.paid_minor:
            payment.state = "refunded"
    fold.refunds[data["refund_id"]] = Refund(
        data["refund_id"],
        data["payment_id"],
        data["order_id"],
        data["user_id"],
        data["amount_minor"],
        data.get("reason"),
        data["discount_returned_minor"],
        data["voucher_restored"],
    )
    if data["voucher_restored"]:
        fold.restored_by.add(data["payment_id"])


def _finish_payment(fold: Fold, payment: Payment) -> None:
    """A payment that was refunded whole gave its voucher back to the user, or to nobody."""
    reservation = fold.reservations.get(payment.order_id)
    if payment.state != "refunded" or reservation is None:
        return
    if reservation.state == "settled":
        reservation.state = "refunded"
    if payment.payment_id not in fold.restored_by:
        fold.expired.update(voucher_id for voucher_id, _ in reservation.shares())


def _finish_voucher(fold: Fold, voucher: Voucher, using: list[Use]) -> None:
    """A voucher is in the state of the one order that holds or spent it. A settlement leaves it worth what it took off,
    and no later order takes more, so it is worth the least of them.
    """
    taken = [reservation for reservation, _ in using if reservation.state in ("held", "settled")]
    if len(taken) > 1 or (taken and voucher.voucher_id in fold.expired):
        orders = ", ".join(sorted(reservation.order_id for reservation in taken))
        also = " and expired" if voucher.voucher_id in fold.expired else ""
        fold.faults.append(f"voucher {voucher.voucher_id} is taken by the orders {orders}{also}")
    if taken:
        voucher.state = "held" if taken[0].state == "held" else "spent"
    elif voucher.voucher_id in fold.expired:
        voucher.state = "expired"
    for reservation, discount_minor in using:
        if reservation.order_id in fold.payment_of_order:
            voucher.face_value_minor = min(voucher.face_value_minor, discount_minor)


# A new kind of event that changes something gets its line here, after what makes the things that it changes; one that
# changes nothing needs none.
EFFECTS: dict[str, Callable[[Fold, EventData, EventData], None]] = {
    "voucher.queued": _queued,
    "voucher.granted": _granted_or_admitted,
    "voucher.rejected": _refused,
    "voucher.expired": _voucher_expired,
    "order.reserved": _reserved,
    "order.cancelled": _released,
    "order.expired": _released,
    "payment.settled": _settled,
    "payment.refunded": _refunded,
}
# The types in the order in which a fold takes them: what makes a thing before what changes it.
TYPES = tuple(EFFECTS)
_RANKS = {type_: rank for rank, type_ in enumerate(TYPES)}

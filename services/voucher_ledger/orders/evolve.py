"""How an accepted order command changes the working set: reservations, vouchers, budgets and the journal. No IO."""

from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger.model import Reservation, Role, RoleName
from voucher_ledger.orders.state import Orders


def evolve(state: Orders, command: Command, event: Event) -> None:
    """Apply `event`, the outcome of `command`; refusals and duplicates change nothing."""
    if event.type == "order.rejected" or "duplicate" in event.data:
        return
    if event.type == "order.reserved":
        _reserve(state, command, event)
    else:
        _release(state, command, "cancelled" if event.type == "order.cancelled" else "expired")


def _reserve(state: Orders, command: Command, event: Event) -> None:
    data = command.data
    campaign_id = event.data["campaign_id"]
    reservation = Reservation(
        data["order_id"],
        data["voucher_id"],
        campaign_id,
        data["user_id"],
        data["merchant_id"],
        data["category"],
        data.get("city_tier"),
        data["amount_minor"],
        event.data["discount_minor"],
        "held",
        command.time_ms,
        command.time_ms + state.campaigns[campaign_id].hold_ttl_ms,
        more_voucher_ids=tuple(data.get("more_voucher_ids", ())),
        voucher_discounts_minor=tuple(event.data.get("voucher_discounts_minor", ())),
    )
    state.reservations[reservation.order_id] = reservation
    state.reserved.append(reservation)
    _commit_category(state, reservation, reservation.discount_minor)
    _move(state, command, reservation, (Role.GRANTED, Role.HELD))


def _release(state: Orders, command: Command, closed_as: str) -> None:
    reservation = state.reservations[command.data["order_id"]]
    reservation.state = closed_as
    reservation.closing_reason = command.data.get("reason")
    if reservation.version >= 0:  # one reserved in this batch is written with its last state anyway
        state.changed_reservations[reservation.order_id] = reservation
    _commit_category(state, reservation, -reservation.discount_minor)
    _move(state, command, reservation, (Role.HELD, Role.GRANTED))


def _commit_category(state: Orders, reservation: Reservation, delta_minor: int) -> None:
    key = (reservation.campaign_id, reservation.category)
    left_minor = state.category_left_minor.get(key)
    if left_minor is not None:
        state.category_left_minor[key] = left_minor - delta_minor
        state.category_committed_minor[key] = state.category_committed_minor.get(key, 0) + delta_minor


def _move(state: Orders, command: Command, reservation: Reservation, roles: tuple[RoleName, RoleName]) -> None:
    """Move the order's vouchers; whole and not the discounts alone: what an order leaves of each is only known at
    settlement.
    """
    for index, (voucher_id, _) in enumerate(reservation.shares()):
        voucher = state.vouchers[voucher_id]
        state.journal.post(
            command,
            index,
            voucher.campaign_id,
            (roles[0], voucher.shard),
            (roles[1], voucher.shard),
            1,
            voucher.face_value_minor,
            voucher_id,
            reservation.order_id,
        )
        voucher.state = roles[1]
        state.changed_vouchers[voucher_id] = voucher

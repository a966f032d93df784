"""Reservations, as orders and payments load and write them: read without locks, written only on the version read."""

from collections.abc import Iterable, Sequence

import psycopg

from voucher_ledger.ledger.copy import copy_rows
from voucher_ledger.ledger.copy_text import NULL, array, lines, lines_or_null
from voucher_ledger.ledger.errors import Contended
from voucher_ledger.ledger.model import Reservation

_LOAD = """
SELECT r.order_id, r.voucher_id, r.campaign_id, r.user_id, r.merchant_id, r.category, r.city_tier, r.amount_minor,
    r.discount_minor, r.state::text, r.reserved_at_ms, r.expires_at_ms, r.closing_reason, r.version, r.more_voucher_ids,
    r.voucher_discounts_minor
FROM books.reservation r WHERE r.order_id = ANY (string_to_array(%s, E'\\n'))"""

_IN_ORDER_LOCKED = " ORDER BY r.order_id FOR UPDATE OF r"

_VOUCHER_IDS = """
SELECT unnest(array_prepend(r.voucher_id, r.more_voucher_ids)) FROM books.reservation r
WHERE r.order_id = ANY (string_to_array(%s, E'\\n'))"""

_COPY = """
COPY books.reservation (order_id, voucher_id, campaign_id, user_id, merchant_id, category, city_tier, amount_minor,
    discount_minor, state, reserved_at_ms, expires_at_ms, closing_reason, more_voucher_ids, voucher_discounts_minor)"""

_UPDATE = """
UPDATE books.reservation r SET state = d.state, closing_reason = d.closing_reason, version = r.version + 1
FROM unnest(string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n')::books.reservation_state[],
    string_to_array(%s, E'\\n', ''), %s::int[])
  AS d (order_id, state, closing_reason, version)
CROSS JOIN LATERAL (
    SELECT ctid, version FROM books.reservation WHERE order_id = d.order_id AND version = d.version OFFSET 0) AS place
WHERE r.ctid = place.ctid AND r.version = place.version"""


def load(connection: psycopg.Connection, order_ids: Iterable[str], *, lock: bool) -> dict[str, Reservation]:
    """The reservations with these ids, those that exist, by id; `lock` holds them to the end of the transaction."""
    rows = connection.execute(_LOAD + (_IN_ORDER_LOCKED if lock else ""), (lines(order_ids),))
    found: dict[str, Reservation] = {}
    for *row, more_voucher_ids, voucher_discounts_minor in rows:
        reservation = found[row[0]] = Reservation(*row)
        if more_voucher_ids is not None:
            reservation.more_voucher_ids = tuple(more_voucher_ids)
            reservation.voucher_discounts_minor = tuple(voucher_discounts_minor)
    return found


def voucher_ids(connection: psycopg.Connection, order_ids: Iterable[str]) -> set[str]:
    """The vouchers of these orders, read without locks: a reservation never changes its vouchers.

    For a transaction that locks: vouchers are locked before the reservations that name them.
    """
    return {row[0] for row in connection.execute(_VOUCHER_IDS, (lines(order_ids),))}


def vouchers_of(reservations: Iterable[Reservation]) -> set[str]:
    """The ids of the vouchers of reservations that were loaded, all of them where an order has several."""
    found: set[str] = set()
    for reservation in reservations:
        found.add(reservation.voucher_id)
        found.update(reservation.more_voucher_ids)
    return found


def insert(connection: psycopg.Connection, reservations: Sequence[Reservation]) -> None:
    """Append new reservations, in order of their ids.

    Raises psycopg.errors.UniqueViolation where another partition has reserved one of these orders meanwhile.
    """
    if not reservations:
        return
    rows = (
        f"{r.order_id}\t{r.voucher_id}\t{r.campaign_id}\t{r.user_id}"
        f"\t{r.merchant_id}\t{r.category}\t{r.city_tier or NULL}"
        f"\t{r.amount_minor}\t{r.discount_minor}\t{r.state}\t{r.reserved_at_ms}\t{r.expires_at_ms}"
        f"\t{r.closing_reason or NULL}\t{array(r.more_voucher_ids)}\t{array(r.voucher_discounts_minor)}\n"
        for r in sorted(reservations, key=lambda reservation: reservation.order_id)
    )
    copy_rows(connection, _COPY, rows)


def update(connection: psycopg.Connection, reservations: Iterable[Reservation]) -> None:
    """Write the state of reservations that were loaded and changed.

    Raises Contended where another transaction changed one of them since it was loaded.
    """
    ordered = sorted(reservations, key=lambda reservation: reservation.order_id)
    if not ordered:
        return
    changed = connection.execute(
        _UPDATE,
        (
            lines([reservation.order_id for reservation in ordered]),
            lines([reservation.state for reservation in ordered]),
            lines_or_null([reservation.closing_reason for reservation in ordered]),
            [reservation.version for reservation in ordered],
        ),
    )
    if changed.rowcount != len(ordered):
        raise Contended(f"{len(ordered) - changed.rowcount} of {len(ordered)} reservations changed meanwhile")

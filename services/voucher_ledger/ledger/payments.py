"""Payments: read without locks, written only on the version that was read."""

from collections.abc import Iterable, Sequence

import psycopg

from voucher_ledger.ledger.copy import copy_rows
from voucher_ledger.ledger.copy_text import lines
from voucher_ledger.ledger.errors import Contended
from voucher_ledger.ledger.model import Payment

_LOAD = """
SELECT p.payment_id, p.order_id, p.user_id, p.paid_minor, p.discount_minor, p.refunded_minor, p.state, p.settled_at_ms,
    p.version
FROM books.payment p WHERE p.payment_id = ANY (string_to_array(%s, E'\\n'))"""

_IN_ORDER_LOCKED = " ORDER BY p.payment_id FOR UPDATE OF p"

_COPY = """
COPY books.payment (payment_id, order_id, user_id, paid_minor, discount_minor, refunded_minor, state, settled_at_ms)"""

_UPDATE = """
UPDATE books.payment p SET refunded_minor = d.refunded_minor, state = d.state, version = p.version + 1
FROM unnest(string_to_array(%s, E'\\n'), %s::bigint[], string_to_array(%s, E'\\n'), %s::int[])
  AS d (payment_id, refunded_minor, state, version)
CROSS JOIN LATERAL (
    SELECT ctid, version FROM books.payment WHERE payment_id = d.payment_id AND version = d.version OFFSET 0) AS place
WHERE p.ctid = place.ctid AND p.version = place.version"""


def load(connection: psycopg.Connection, payment_ids: Iterable[str], *, lock: bool) -> dict[str, Payment]:
    """The payments with these ids, those that exist, by id; `lock` holds them to the end of the transaction."""
    rows = connection.execute(_LOAD + (_IN_ORDER_LOCKED if lock else ""), (lines(payment_ids),))
    return {row[0]: Payment(*row) for row in rows}


def insert(connection: psycopg.Connection, payments: Sequence[Payment]) -> None:
    """Append new payments, in order of their ids.

    Raises psycopg.errors.UniqueViolation where another partition has taken the id, or settled the order, meanwhile.
    """
    if not payments:
        return
    rows = (
        f"{p.payment_id}\t{p.order_id}\t{p.user_id}\t{p.paid_minor}\t{p.discount_minor}"
        f"\t{p.refunded_minor}\t{p.state}\t{p.settled_at_ms}\n"
        for p in sorted(payments, key=lambda payment: payment.payment_id)
    )
    copy_rows(connection, _COPY, rows)


def update(connection: psycopg.Connection, payments: Iterable[Payment]) -> None:
    """Write what has been refunded of payments that were loaded and changed.

    Raises Contended where another transaction changed one of them since it was loaded.
    """
    ordered = sorted(payments, key=lambda payment: payment.payment_id)
    if not ordered:
        return
    changed = connection.execute(
        _UPDATE,
        (
            lines([payment.payment_id for payment in ordered]),
            [payment.refunded_minor for payment in ordered],
            lines([payment.state for payment in ordered]),
            [payment.version for payment in ordered],
        ),
    )
    if changed.rowcount != len(ordered):
        raise Contended(f"{len(ordered) - changed.rowcount} of {len(ordered)} payments changed meanwhile")

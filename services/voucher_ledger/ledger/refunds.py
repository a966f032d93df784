"""Refunds: written once, never changed; a refund sent again is answered from its row."""

from collections.abc import Iterable, Sequence

import psycopg

from voucher_ledger.ledger.copy import copy_rows
from voucher_ledger.ledger.copy_text import NULL, lines
from voucher_ledger.ledger.model import Refund

_LOAD = """
SELECT f.refund_id, f.payment_id, f.order_id, f.user_id, f.amount_minor, f.reason, f.discount_returned_minor,
    f.voucher_restored
FROM books.refund f WHERE f.refund_id = ANY (string_to_array(%s, E'\\n'))"""

_COPY = """
COPY books.refund (refund_id, payment_id, order_id, user_id, amount_minor, reason, discount_returned_minor,
    voucher_restored)"""


def load(connection: psycopg.Connection, refund_ids: Iterable[str]) -> dict[str, Refund]:
    """The refunds with these ids, those that exist, by id."""
    return {row[0]: Refund(*row) for row in connection.execute(_LOAD, (lines(refund_ids),))}


def insert(connection: psycopg.Connection, refunds: Sequence[Refund]) -> None:
    """Append new refunds, in order of their ids.

    Raises psycopg.errors.UniqueViolation where another partition has taken one of the ids meanwhile.
    """
    if not refunds:
        return
    rows = (
        f"{f.refund_id}\t{f.payment_id}\t{f.order_id}\t{f.user_id}\t{f.amount_minor}"
        f"\t{f.reason or NULL}\t{f.discount_returned_minor}\t{'t' if f.voucher_restored else 'f'}\n"
        for f in sorted(refunds, key=lambda refund: refund.refund_id)
    )
    copy_rows(connection, _COPY, rows)

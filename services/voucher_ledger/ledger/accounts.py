"""Balances: changed by deltas only, last in a batch and in one order, so that no two batches can deadlock on them."""

from collections.abc import Iterable

import psycopg

from voucher_ledger.ledger.copy import copy_rows
from voucher_ledger.ledger.journal import AccountKey, Journal
from voucher_ledger.ledger.model import ROLES

_LOCK_ORDER = {role: place for place, role in enumerate(ROLES)}

_COPY_TRANSFERS = """
COPY books.transfer (campaign_id, debit_role, debit_shard, credit_role, credit_shard, vouchers, amount_minor,
    voucher_id, order_id, cause_topic, cause_partition, cause_offset, cause_index, at_ms, reason, approved_by)"""

_LOCK = """
SELECT 1 FROM books.account a
JOIN unnest(%s::text[], %s::books.account_role[], %s::int[]) AS k (campaign_id, role, shard)
  USING (campaign_id, role, shard)
ORDER BY a.campaign_id, a.role, a.shard FOR UPDATE OF a"""

_ADD = """
UPDATE books.account a SET vouchers = a.vouchers + d.vouchers, amount_minor = a.amount_minor + d.amount_minor
FROM unnest(%s::text[], %s::books.account_role[], %s::int[], %s::bigint[], %s::bigint[])
  AS d (campaign_id, role, shard, vouchers, amount_minor)
WHERE a.campaign_id = d.campaign_id AND a.role = d.role AND a.shard = d.shard"""

_ENSURE = """
INSERT INTO books.account (campaign_id, role, shard)
SELECT * FROM unnest(%s::text[], %s::books.account_role[], %s::int[])
ON CONFLICT DO NOTHING"""


def _columns(keys: Iterable[AccountKey]) -> tuple[list[str], list[str], list[int]]:
    ordered = list(keys)
    return [key[0] for key in ordered], [key[1] for key in ordered], [key[2] for key in ordered]


def in_lock_order(keys: Iterable[AccountKey]) -> list[AccountKey]:
    """The one order in which accounts are locked: by campaign, role (as in the database's enum) and shard."""
    return sorted(keys, key=lambda key: (key[0], _LOCK_ORDER[key[1]], key[2]))


def lock(connection: psycopg.Connection, keys: Iterable[AccountKey]) -> None:
    """Lock these accounts to the end of the transaction, in the order of the primary key."""
    connection.execute(_LOCK, _columns(in_lock_order(keys)))


def ensure(connection: psycopg.Connection, keys: Iterable[AccountKey]) -> None:
    """Make these accounts, empty, where they are missing."""
    connection.execute(_ENSURE, _columns(in_lock_order(keys)))


def write_journal(connection: psycopg.Connection, journal: Journal) -> None:
    """Append the batch's transfers, then move the balances by their sums: the last rows that a batch locks.

    Raises as `move_balances` does.
    """
    append_transfers(connection, journal)
    move_balances(connection, journal)


def append_transfers(connection: psycopg.Connection, journal: Journal) -> None:
    """Append the batch's transfers: the greater part of the work, and no other batch waits for it."""
    if journal.rows:
        copy_rows(connection, _COPY_TRANSFERS, journal.rows)


def move_balances(connection: psycopg.Connection, journal: Journal) -> None:
    """Move the balances by the sums of the batch's transfers: the last rows that it locks.

    Raises psycopg.errors.CheckViolation where an account would be overdrawn, RuntimeError where one does not exist.
    """
    if not journal.rows:
        return
    deltas = {key: delta for key, delta in journal.deltas().items() if delta != (0, 0)}
    keys = in_lock_order(deltas)
    columns = _columns(keys)
    connection.execute(_LOCK, columns)
    changed = connection.execute(_ADD, (*columns, [deltas[key][0] for key in keys], [deltas[key][1] for key in keys]))
    if changed.rowcount != len(keys):
        raise RuntimeError(
            f"{len(keys) - changed.rowcount} of the accounts {keys} do not exist: transfers without books"
        )

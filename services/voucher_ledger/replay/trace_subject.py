"""Whose chain is traced, and what the ledger says of it: rows, and the transfers that name their causes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row

from voucher_ledger.core.records import Place
from voucher_ledger.replay.answers import EVENT_TOPICS, Cause
from voucher_ledger.replay.topic_reader import Range
from voucher_ledger.runtime.postgres import READ_LOCK_SECONDS_MAX, SNAPSHOT, asking_postgres

ROWS_MAX = 1_000
READ_MINUTES_MAX = 10

Row = Mapping[str, Any]

_PLACE = re.compile(r"(?P<topic>[a-z]+\.commands)/(?P<partition>\d{1,9})/(?P<offset>\d{1,18})(/-?\d{1,9})?")
# Transfers and orders are found by a scan where no index has the column: slow in a large ledger, but bounded.
_BOUNDS = f"""
SET LOCAL statement_timeout = '{READ_MINUTES_MAX}min'; SET LOCAL lock_timeout = '{READ_LOCK_SECONDS_MAX}s';
SET LOCAL enable_seqscan = on"""

_VOUCHERS_BY = {
    "voucher": "SELECT * FROM ledger.voucher WHERE voucher_id = %s",
    "order": """
        SELECT v.* FROM ledger.voucher v JOIN ledger.reservation_voucher r USING (voucher_id) WHERE r.order_id = %s
        ORDER BY r.place""",
    "user": "SELECT * FROM ledger.voucher WHERE user_id = %s ORDER BY granted_at, voucher_id",
}
_ORDERS_BY = {
    "order": "SELECT * FROM ledger.reservation WHERE order_id = %s",
    "voucher": """
        SELECT r.* FROM ledger.reservation r JOIN ledger.reservation_voucher v USING (order_id) WHERE v.voucher_id = %s
        ORDER BY r.reserved_at, order_id""",
    "user": "SELECT * FROM ledger.reservation WHERE user_id = %s ORDER BY reserved_at, order_id",
}
_PAYMENTS = "SELECT * FROM ledger.payment WHERE order_id = ANY(%s) ORDER BY settled_at, payment_id"
_TRANSFERS_OF_VOUCHERS = "SELECT * FROM ledger.transfer WHERE voucher_id = ANY(%s) ORDER BY at, transfer_id"
_TRANSFERS_OF_ORDER = """
SELECT * FROM ledger.transfer WHERE voucher_id = ANY(%s) AND (order_id IS NULL OR order_id = %s)
ORDER BY at, transfer_id"""
_TRANSFERS_OF_CAUSE = """
SELECT * FROM ledger.transfer WHERE cause_topic = %s AND cause_partition = %s AND cause_offset = %s
ORDER BY transfer_id"""
_WAITING = "SELECT * FROM ledger.waiting WHERE user_id = %s ORDER BY queued_at, campaign_id, partition"
_UNKNOWN = "the ledger has no voucher, order or user {!r}, and it is no event's id"
_POSITIONS = "SELECT topic, partition, next_offset FROM ledger.position"
# The batches of a partition follow each other without a gap.
_OUTBOX = """
SELECT topic, partition, min(first_offset) AS low, max(next_offset) AS high FROM ledger.outbox
GROUP BY topic, partition"""


# What the ledger has no row of: it keeps what was decided to be so, and a refusal changes nothing.
ON_TOPICS_ONLY = "refusals, and the claims of those who wait, are on the topics only: --scan looks there"


class UnknownSubject(Exception):
    """Nothing is known of this id where it was looked for."""


@dataclass(slots=True)
class Subject:
    """What is traced: `kind` is voucher, order, user or event. Rows have the columns of their views in `ledger`;
    `waiting` are a user's places in waiting rooms now, `outbox` the commands whose answers are not published yet.
    """

    kind: str
    key: str
    vouchers: list[Row] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    payments: list[Row] = field(default_factory=list)
    transfers: list[Row] = field(default_factory=list)
    waiting: list[Row] = field(default_factory=list)
    positions: dict[Place, int] = field(default_factory=dict)
    outbox: dict[Place, Range] = field(default_factory=dict)
    cause: Cause | None = None

    def known(self) -> bool:
        """Whether the ledger has rows of it; an event is known by its place."""
        return bool(self.vouchers or self.orders or self.waiting or self.cause)

    def causes(self) -> list[Cause]:
        """The commands that moved something, in the order of their times; that of an event first of all."""
        found = [Cause(row["cause_topic"], row["cause_partition"], row["cause_offset"]) for row in self.transfers]
        return list(dict.fromkeys(found if self.cause is None else [self.cause, *found]))

    def user_ids(self) -> set[str]:
        """Whose vouchers, orders and places in a line these are."""
        return {row["user_id"] for row in (*self.vouchers, *self.orders, *self.waiting)}


def find(connection: psycopg.Connection, key: str, *, scan: bool = False) -> Subject:
    """The subject that `key` names: an event's id (or its command's place), else a voucher, an order or a user. Where
    the ledger knows none and topics will be looked at (`scan`), a user without rows: who was only refused has none.

    Raises UnknownSubject, NotSetUp where the login may not read the ledger, Unreachable where it does not answer.
    """
    with asking_postgres(), connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(SNAPSHOT)
        cursor.execute(_BOUNDS)
        subject = _find(cursor, key) or Subject("user", key)
        if not (scan or subject.known()):
            raise UnknownSubject(f"{_UNKNOWN.format(key)}; {ON_TOPICS_ONLY}")
        subject.positions = {(r["topic"], r["partition"]): r["next_offset"] for r in cursor.execute(_POSITIONS)}
        waiting = cursor.execute(_OUTBOX.encode()).fetchall()
        subject.outbox = {(r["topic"], r["partition"]): Range(r["low"], r["high"]) for r in waiting}
        return subject


def _find(cursor: psycopg.Cursor[dict[str, Any]], key: str) -> Subject | None:
    place = _PLACE.fullmatch(key)
    if place is not None and place["topic"] in EVENT_TOPICS:
        return _event(cursor, key, Cause(place["topic"], int(place["partition"]), int(place["offset"])))
    for kind in ("voucher", "order", "user"):
        subject = Subject(kind, key)
        if kind != "order":
            subject.vouchers = _rows(cursor, _VOUCHERS_BY[kind], key)
        if kind == "order" or subject.vouchers:
            subject.orders = _rows(cursor, _ORDERS_BY[kind], key)
        if kind == "user":
            subject.waiting = _rows(cursor, _WAITING, key)
        if subject.known():
            return _complete(cursor, subject)
    return None


def _event(cursor: psycopg.Cursor[dict[str, Any]], key: str, cause: Cause) -> Subject:
    """The command at a place, and the chain of the voucher that it moved (none: it moved nothing)."""
    subject = Subject("event", key, cause=cause)
    moved = _rows(cursor, _TRANSFERS_OF_CAUSE, *cause)
    voucher_id = next((row["voucher_id"] for row in moved if row["voucher_id"] is not None), None)
    if voucher_id is None:
        subject.transfers = moved
        return subject
    subject.vouchers = _rows(cursor, _VOUCHERS_BY["voucher"], voucher_id)
    subject.orders = _rows(cursor, _ORDERS_BY["voucher"], voucher_id)
    return _complete(cursor, subject)


def _complete(cursor: psycopg.Cursor[dict[str, Any]], subject: Subject) -> Subject:
    if subject.kind == "order":
        subject.vouchers = _rows(cursor, _VOUCHERS_BY["order"], subject.key)
    voucher_ids = [row["voucher_id"] for row in subject.vouchers]
    subject.payments = _rows(cursor, _PAYMENTS, [row["order_id"] for row in subject.orders])
    if subject.kind == "order":
        subject.transfers = _rows(cursor, _TRANSFERS_OF_ORDER, voucher_ids, subject.key)
    else:
        subject.transfers = _rows(cursor, _TRANSFERS_OF_VOUCHERS, voucher_ids)
    return subject


def _rows(cursor: psycopg.Cursor[dict[str, Any]], query: str, *arguments: Sequence[str] | str | int) -> list[Row]:
    """At most ROWS_MAX rows: a user of that many vouchers is no user."""
    return list(cursor.execute(query.encode(), arguments).fetchmany(ROWS_MAX))

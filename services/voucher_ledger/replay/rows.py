"""The rows that are compared: their columns, and a row as one line of COPY's text format. No IO.

A line begins with the user id and the key; a column that is NULL is empty (no key and no reason is the empty string).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from voucher_ledger.replay.fold import Fold

KEY_COLUMN = 1
# Between the items of a column that is an array: no id has a control character, and COPY leaves this one as it is.
_JOIN = "\x1f"
_ORD_OF_JOIN = ord(_JOIN)


@dataclass(frozen=True, slots=True)
class ComparedTable:
    """A table of `books` whose rows belong to users; `rows_of` gives a fold's rows of it."""

    name: str
    columns: tuple[str, ...]
    rows_of: Callable[[Fold], Mapping[str, Any]]
    # A column that SQL must put together: a key of several columns (a property of the fold's row), or an array.
    expressions: Mapping[str, str] = field(default_factory=dict)

    def lines(self, fold: Fold) -> Iterator[bytes]:
        """A fold's rows of this table, each as a line."""
        values_of = attrgetter(*self.columns)
        for row in self.rows_of(fold).values():
            yield "\t".join([_text(value) for value in values_of(row)]).replace("\\", "\\\\").encode()


def key_of(line: bytes) -> str:
    """The key of a line's row."""
    return line.split(b"\t", KEY_COLUMN + 1)[KEY_COLUMN].decode()


def differing_columns(table: ComparedTable, first: bytes, second: bytes) -> dict[str, tuple[str, str]]:
    """What two lines of the same key have differently, by column."""
    pairs = zip(table.columns, first.decode().split("\t"), second.decode().split("\t"), strict=True)
    return {column: (one, other) for column, one, other in pairs if one != other}


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return _JOIN.join(map(str, value))
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)


# Left out: what is the ledger's own affair and in no event (shard, ordinal, version, swept).
TABLES = (
    ComparedTable(
        "voucher",
        (
            "user_id", "voucher_id", "campaign_id", "state", "face_value_minor", "granted_at_ms", "expires_at_ms",
            "command_id", "city_tier", "channel", "device_id",
        ),
        lambda fold: fold.vouchers,
    ),
    ComparedTable(
        "reservation",
        (
            "user_id", "order_id", "voucher_id", "campaign_id", "merchant_id", "category", "city_tier", "amount_minor",
            "discount_minor", "state", "reserved_at_ms", "expires_at_ms", "closing_reason", "more_voucher_ids",
            "voucher_discounts_minor",
        ),
        lambda fold: fold.reservations,
        {
            column: f"array_to_string(t.{column}, chr({_ORD_OF_JOIN}))"
            for column in ("more_voucher_ids", "voucher_discounts_minor")
        },
    ),
    ComparedTable(
        "payment",
        (
            "user_id", "payment_id", "order_id", "paid_minor", "discount_minor", "refunded_minor", "state",
            "settled_at_ms",
        ),
        lambda fold: fold.payments,
    ),
    ComparedTable(
        "refund",
        (
            "user_id", "refund_id", "payment_id", "order_id", "amount_minor", "reason", "discount_returned_minor",
            "voucher_restored",
        ),
        lambda fold: fold.refunds,
    ),
    ComparedTable(
        "waiting_place",
        ("user_id", "place_key", "command_id", "city_tier", "channel", "queued_at_ms", "device_id"),
        lambda fold: fold.waiting.places,
        {"place_key": "concat_ws('/', t.campaign_id, t.partition, t.ticket)"},
    ),
)  # fmt: skip

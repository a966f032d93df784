"""One record of `ledger.demand`: what a part of a batch did to one campaign, counted by second. Pure."""

from dataclasses import dataclass
from typing import NamedTuple

import orjson

from voucher_ledger.core.demand import DUPLICATE

ROWS_MAX = 10_000
SECOND_MAX = 253_402_300_799  # the last of the year 9999
ID_LENGTH_MAX = 128


class MalformedDemand(Exception):
    """The record is not of the form that the processors publish; the text says where."""


@dataclass(slots=True)
class Row:
    """So many outcomes of one kind in one second of record time; `at` is in whole seconds since 1970."""

    at: int
    type: str
    reason: str | None
    category: str | None
    city_tier: int | None
    count: int
    value_minor: int
    high_ticket: int

    @property
    def is_repeated(self) -> bool:
        """Whether these are answers given before, given again."""
        return self.reason == DUPLICATE and not self.type.endswith(".rejected")


class Demand(NamedTuple):
    """The rows of commands of the partition `source` up to `next_offset`, by which one delivered twice is known again.

    `campaign_id` is empty where the commands name no campaign that is known.
    """

    source: str
    next_offset: int
    campaign_id: str
    rows: tuple[Row, ...]


def decode(value: bytes | None) -> Demand:
    """Raises MalformedDemand where the record can't be counted; no other exception, whatever the bytes.

    A field that this version does not know is passed over: the processors may be newer than the monitor.
    """
    try:
        record = orjson.loads(value or b"")
        rows = record["rows"]
        demand = Demand(
            _text(record["source"]),
            _count(record["next_offset"]),
            _text(record["campaign_id"], length_min=0),
            tuple(_row(row) for row in rows[:ROWS_MAX]),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise MalformedDemand(f"{type(error).__name__}: {error}") from error
    if len(rows) > ROWS_MAX:
        raise MalformedDemand(f"{len(rows)} rows, at most {ROWS_MAX}")
    return demand


def _row(row: dict[str, object]) -> Row:
    at = _count(row["at"])
    if at > SECOND_MAX:
        raise ValueError(f"at {at} lies past the year 9999")
    tier = row["city_tier"]
    return Row(
        at,
        _text(row["type"]),
        _optional_text(row["reason"]),
        _optional_text(row["category"]),
        None if tier is None else _count(tier),
        _count(row["count"]),
        _count(row["value_minor"]),
        _count(row["high_ticket"]),
    )


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{str(value)[:40]!r} is no count")
    return value


def _text(value: object, *, length_min: int = 1) -> str:
    if type(value) is not str or not length_min <= len(value) <= ID_LENGTH_MAX:
        raise ValueError(f"{str(value)[:40]!r} is no name of {length_min} to {ID_LENGTH_MAX} characters")
    return value


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)

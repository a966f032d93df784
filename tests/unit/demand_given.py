"""Builders of rollups, facts and outlooks for the monitor's tests."""

from collections.abc import Iterable
from typing import Any

import orjson

from voucher_ledger.monitor import outlook
from voucher_ledger.monitor.demand import Demand, Row, decode
from voucher_ledger.monitor.facts import Facts
from voucher_ledger.monitor.outlook import Outlook
from voucher_ledger.monitor.store import Kept, Store

# A whole day, hour and quarter since 1970.
START = 1_770_336_000
FACE_MINOR = 2_500


def row(at: int, type_: str = "voucher.granted", count: int = 1, **changes: Any) -> dict[str, Any]:
    """A row `at` seconds after START."""
    made = {
        "at": START + at, "type": type_, "reason": None, "category": None, "city_tier": None, "count": count,
        "value_minor": 0, "high_ticket": 0,
    }  # fmt: skip
    return {**made, **changes}


def record(rows: Iterable[dict[str, Any]], next_offset: int, source: str = "claim.commands/0", **changes: Any) -> bytes:
    """A record's value as the processors publish it."""
    made = {"source": source, "first_offset": 0, "next_offset": next_offset, "campaign_id": "grey", "rows": [*rows]}
    return orjson.dumps({**made, **changes})


def demand(rows: Iterable[dict[str, Any]], next_offset: int = 1, source: str = "claim.commands/0") -> Demand:
    """The same, decoded."""
    return decode(record(rows, next_offset, source))


def kept_after(*rows: dict[str, Any]) -> Kept:
    """The buckets of one campaign after one batch of these rows."""
    store = Store()
    store.count(0, demand(rows))
    return store.campaigns([0])["grey"]


def facts(**changes: Any) -> Facts:
    """A campaign of 1,000 cards, meant for six hours from START on, from which nothing was taken."""
    made: dict[str, Any] = {
        "campaign_id": "grey", "name": "Grey release", "state": "open", "currency": "CNY",
        "face_value_minor": FACE_MINOR, "starts_at": START, "ends_at": START + 21_600, "tranches": (),
        "quota": 1_000, "cards_left": 1_000, "cards_out": 0, "budget_minor": 1_000 * FACE_MINOR,
        "budget_left_minor": 1_000 * FACE_MINOR, "overspent_minor": 0,
    }  # fmt: skip
    return Facts(**{**made, **changes})


def given_out(cards: int) -> Facts:
    """The same campaign with so many cards given out."""
    left = 1_000 - cards
    return facts(cards_left=left, cards_out=cards, budget_left_minor=left * FACE_MINOR)


def seen(*rows: dict[str, Any], facts: Facts | None, at: int, unpublished: int | None = 0) -> Outlook:
    """The outlook `at` seconds after START."""
    return outlook.look("grey", kept_after(*rows), facts, START + at, unpublished)


__all__ = ["FACE_MINOR", "START", "Row", "demand", "facts", "given_out", "kept_after", "record", "row", "seen"]

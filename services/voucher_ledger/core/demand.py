"""Rollups of what was decided, for the topic ledger.demand: counts a second of record time instead of single events.

Made from nothing but the events' own content and their order: what a crash makes somebody publish again, from the
outbox, gives the same bytes.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from voucher_ledger.core.clock import milliseconds
from voucher_ledger.core.records import Event

DEMAND_TOPIC = "ledger.demand"

# An order of at least so much, before its discount, is a high ticket. A constant and no setting: two processes with
# different ones would tell different figures of one batch, before and after a takeover.
HIGH_TICKET_MINOR = 100_000
# More events of one share go into further rollups, each with a range of offsets of its own. A row has at most 750 bytes
# (a category of 128 characters of 4 bytes) and stands for an event at least, so that any rollup fits into a record.
EVENTS_A_ROLLUP_MAX = 1_000
# Distinct categories that one rollup names, the most that a campaign may list. What comes past them is OTHER.
CATEGORIES_MAX = 100
OTHER = "other"
# Stands where an accepted command was answered again, in the place of a refusal's reason.
DUPLICATE = "duplicate"

# The field of an event's data that is its value; the others have none. Of a refused order it is what was asked for.
_VALUE_FIELD = {
    "voucher.granted": "face_value_minor",
    "order.reserved": "amount_minor",
    "order.rejected": "amount_minor",
    "payment.settled": "paid_minor",
    "payment.refunded": "amount_minor",
}
# Where a command was refused for these, the campaign that it names need not exist: anyone may write anything there.
_CAMPAIGN_UNKNOWN = frozenset(["unknown_campaign", "unknown_voucher"])

# The offset of a decided command, its record's time in milliseconds since 1970, and its outcome.
Outcome = tuple[int, int, Event]
# Second, type, campaign_id, reason, category, city_tier, value, duplicate: as they stand in the events.
_Alike = tuple[int, str, Any, Any, Any, Any, Any, Any]


@dataclass(slots=True)
class Row:
    """How often the same thing happened in one second of record time, the second `at` (since 1970).

    `reason` is a refusal's, DUPLICATE where an earlier answer was repeated (without value, then), else None.
    """

    at: int
    type: str
    reason: str | None
    category: str | None
    city_tier: int | None
    count: int = 0
    value_minor: int = 0
    high_ticket: int = 0


@dataclass(slots=True)
class Rollup:
    """What was decided of one campaign (the empty string where none is known) between two offsets of a partition."""

    source: str
    first_offset: int
    next_offset: int
    campaign_id: str
    rows: list[Row]

    def record(self) -> tuple[bytes, bytes]:
        """Its key and its value on the topic."""
        return self.campaign_id.encode(), orjson.dumps(self)


class Tally:
    """Counts one partition's part of a batch, outcome by outcome, while each is at hand: to go through them all again
    afterwards cost three times as much.
    """

    def __init__(self, topic: str, partition: int, first_offset: int) -> None:
        self.times_ms: list[int] = []
        self._source = f"{topic}/{partition}"
        self._first_offset = first_offset
        self._alike: dict[_Alike, int] = {}
        self._events = 0
        self._rollups: list[Rollup] = []

    def add(self, offset: int, time_ms: int, event: Event) -> None:
        """Count the outcome of the command at `offset`, of a record of `time_ms`; offsets ascend."""
        if self._events == EVENTS_A_ROLLUP_MAX:
            self._close(offset)
        self._events += 1
        self.times_ms.append(time_ms)
        type_, get = event.type, event.data.get
        key = (
            time_ms // 1000, type_, get("campaign_id"), get("reason"), get("category"), get("city_tier"),
            get(_VALUE_FIELD.get(type_, "")), get("duplicate"),
        )  # fmt: skip
        alike = self._alike
        alike[key] = alike.get(key, 0) + 1

    def rollups(self, next_offset: int) -> list[Rollup]:
        """One for each campaign, or a few where there were many events; none without any. To be called once."""
        self._close(next_offset)
        return self._rollups

    def _close(self, next_offset: int) -> None:
        self._rollups += [
            Rollup(self._source, self._first_offset, next_offset, campaign_id, rows)
            for campaign_id, rows in _rows(self._alike).items()
        ]
        self._first_offset, self._alike, self._events = next_offset, {}, 0


def outcome_of(event: bytes) -> Outcome:
    """The outcome that an encoded event tells of."""
    decoded = orjson.loads(event)
    offset = int(decoded["id"].split("/")[2])
    return offset, milliseconds(decoded["time"]), Event(decoded["type"], decoded["data"])


def _rows(counts: dict[_Alike, int]) -> dict[str, list[Row]]:
    """Rows by campaign, of what is alike and how often it occurred."""
    rows: dict[tuple[Any, ...], Row] = {}
    by_campaign: dict[str, list[Row]] = {}
    categories: dict[str, set[str]] = {}
    for alike, count in counts.items():
        at, type_, campaign_id, reason, category, city_tier, value_minor, duplicate = alike
        if not type_.endswith(".rejected"):  # a cancel's or refund's reason is its sender's own words
            reason = DUPLICATE if duplicate else None
        campaign_id = "" if reason in _CAMPAIGN_UNKNOWN else campaign_id or ""
        if category is not None:
            category = _bounded(category, categories.setdefault(campaign_id, set()))
        key = (campaign_id, at, type_, reason, category, city_tier)
        row = rows.get(key)
        if row is None:
            row = rows[key] = Row(at, type_, reason, category, city_tier)
            by_campaign.setdefault(campaign_id, []).append(row)
        row.count += count
        if value_minor is not None and not duplicate:
            row.value_minor += count * value_minor
            if value_minor >= HIGH_TICKET_MINOR and type_.startswith("order."):
                row.high_ticket += count
    return by_campaign


def _bounded(category: str, known: set[str]) -> str:
    if category not in known:
        if len(known) >= CATEGORIES_MAX:
            return OTHER
        known.add(category)
    return category

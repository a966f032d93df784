"""The claims of a past day, counted by the minute, in place of a forecast."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import orjson

from voucher_ledger.core.clock import milliseconds
from voucher_ledger.plan.campaign import MINUTE_MS
from voucher_ledger.plan.errors import BadInput
from voucher_ledger.plan.forecast import CITY_TIERS, Defaults, Demand

_COMMAND: Final = "voucher.claim"
_ANSWERS: Final = ("voucher.granted", "voucher.queued", "voucher.rejected")
_Claims = Counter[tuple[int, int | None]]


def read_past(name: str, lines: Iterable[bytes], defaults: Defaults) -> list[Demand]:
    """Claims a minute and city tier, counted from the first one in the file: that is the campaign's first minute.

    NDJSON of records with `type` and `time`: claim commands, or, where there are none, the events that answer them.
    Each user's command counts once, however often it was sent or answered. Records of other types are passed over.
    Raises BadInput, which names file and line.
    """
    commands: _Claims = Counter()
    answers: _Claims = Counter()
    seen: set[tuple[bool, str]] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record, data = _record(line)
            if record["type"] == _COMMAND:
                counts, command_id = commands, record.get("id")
            elif record["type"] in _ANSWERS and "duplicate" not in data and "voucher_id" not in _refused(record, data):
                counts, command_id = answers, _answered(data)
            else:
                continue
            # A refusal is not remembered: a command that is sent again is answered again, with no mark of it.
            key = (record["type"] == _COMMAND, repr((data.get("campaign_id"), data.get("user_id"), command_id)))
            if key not in seen:
                seen.add(key)
                counts[_place(record, data)] += 1
        except BadInput as error:
            raise BadInput(f"{name}:{number}: {error}") from None
    claims = commands or answers
    if not claims:
        raise BadInput(f"{name}: no {_COMMAND} commands in it, and no events that answer them")
    # Tiers are told apart only where every record tells its own.
    by_tier = all(tier is not None for _, tier in claims)
    first = min(minute for minute, _ in claims)
    counted: _Claims = Counter()
    for (minute, tier), count in claims.items():
        counted[minute - first, tier if by_tier else None] += count
    return [
        Demand(minute, 1, count, defaults.conversion, defaults.average_order_minor, None, tier)
        for (minute, tier), count in sorted(counted.items(), key=lambda item: (item[0][0], item[0][1] or 0))
    ]


def _record(line: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"not JSON: {error.msg}") from None
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise BadInput("type: missing; a record is an object with `type`, `time` and `data`")
    data = record.get("data", {})
    if not isinstance(data, dict):
        raise BadInput("data: must be an object")
    return record, data


def _answered(data: dict[str, Any]) -> str:
    command_id = data.get("command_id")
    if not isinstance(command_id, str):
        raise BadInput("data.command_id: missing; an event names the command that it answers")
    return command_id


def _refused(record: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """The data of a refusal: one that names a voucher answered an expiry, not a claim."""
    return data if record["type"] == "voucher.rejected" else {}


def _place(record: dict[str, Any], data: dict[str, Any]) -> tuple[int, int | None]:
    time = record.get("time")
    if not isinstance(time, str):
        raise BadInput("time: missing")
    try:
        minute = milliseconds(time) // MINUTE_MS
    except ValueError:
        raise BadInput(f"time: {time[:60]!r} is not RFC 3339") from None
    tier = data.get("city_tier")
    if tier is not None and not (type(tier) is int and 1 <= tier <= CITY_TIERS):
        raise BadInput(f"city_tier: {str(tier)[:60]} is not from 1 to {CITY_TIERS}")
    return minute, tier

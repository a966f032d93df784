"""Alerts as CloudEvents on `ledger.alerts`, and what stands by the records that are already there. Pure."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from voucher_ledger.core.clock import milliseconds, rfc3339
from voucher_ledger.monitor.alerts import Change, Condition, Key, Standing

SOURCE = "voucher-ledger/monitor"


class Record(NamedTuple):
    """A record's key (the campaign's id) and value."""

    key: bytes
    value: bytes


def encode(change: Change, now: float) -> Record:
    """The record that tells of a change; the same one has the same id, whoever tells it again."""
    condition = change.condition
    key = condition.key
    since = rfc3339(int(change.since * 1_000))
    data = {
        "campaign_id": key.campaign_id,
        "alert": key.alert,
        "subject": key.subject,
        "severity": condition.severity,
        "summary": condition.summary,
        "value": condition.value,
        "threshold": condition.threshold,
        "unit": condition.unit,
        "since": since,
    }
    envelope = {
        "specversion": "1.0",
        "id": f"{key.alert}/{key.subject}/{since}/{change.state}/{condition.severity}/{key.campaign_id}",
        "source": SOURCE,
        "type": f"alert.{change.state}",
        "time": rfc3339(int(now * 1_000)),
        "data": data,
    }
    return Record(key.campaign_id.encode(), orjson.dumps(envelope))


def standing_after(values: Iterable[bytes], now: float) -> dict[Key, Standing]:
    """What fires after these records, oldest first; taken to hold `now` (seconds since 1970), until it is looked at.

    A record that this version can't read is passed over: it is not ours.
    """
    standing: dict[Key, Standing] = {}
    for value in values:
        try:
            envelope = orjson.loads(value)
            condition = _condition(envelope["data"])
            since = milliseconds(envelope["data"]["since"]) / 1_000
            is_firing = envelope["type"] == "alert.firing"
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            continue
        if is_firing:
            standing[condition.key] = Standing(condition, since, held_at=now, told=True)
        else:
            standing.pop(condition.key, None)
    return standing


def _condition(data: dict[str, Any]) -> Condition:
    return Condition(
        Key(data["campaign_id"], data["alert"], data["subject"]),
        data["severity"],
        data["summary"],
        float(data["value"]),
        float(data["threshold"]),
        data["unit"],
    )

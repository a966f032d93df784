"""What ledger.demand tells, held against the events: it must count each of them once."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

import jsonschema_rs
import orjson
from confluent_kafka import Message

from voucher_ledger.core.schema_files import schema_root

# The markers of one transaction reach its partitions one after another: the events may be seen before their rollups.
SEEN_SECONDS_MAX = 5.0
FAULTS_SHOWN_MAX = 10
SCHEMA = jsonschema_rs.Draft202012Validator(orjson.loads((schema_root() / "ledger.demand.json").read_bytes()))

# Command topic, event type, second of record time.
Told = Counter[tuple[str, str, int]]


def counted(records: Sequence[Message]) -> Told:
    """How many events the rollups count; each must keep its schema, and have its campaign as its key."""
    found: Told = Counter()
    for record in records:
        rollup = orjson.loads(record.value() or b"")
        SCHEMA.validate(rollup)
        assert (record.key() or b"").decode() == rollup["campaign_id"]
        topic = rollup["source"].partition("/")[0]
        for row in rollup["rows"]:
            found[topic, row["type"], row["at"]] += row["count"]
    return found


def rollup_faults(told: Told, read: Callable[[], Sequence[Message]]) -> list[str]:
    """Where the rollups that `read` gives differ from what the events told."""
    deadline = time.monotonic() + SEEN_SECONDS_MAX
    while (found := counted(read())).total() < told.total() and time.monotonic() < deadline:
        pass
    return [
        f"{key} happened {told[key]} times, rolled up are {found[key]}"
        for key in sorted(told.keys() | found.keys())
        if told[key] != found[key]
    ][:FAULTS_SHOWN_MAX]

"""Events as CloudEvents 1.0, JSON structured mode (cloudevents/spec, formats/json-format.md)."""

from collections.abc import Callable

import orjson

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Command, Event

SPECVERSION = "1.0"


def encoder(room: str, command_topic: str, partition: int) -> Callable[[Event, Command], bytes]:
    """Encodes the outcomes of one partition's commands; the id names the cause: `<topic>/<partition>/<offset>/0`."""
    prefix = f"{command_topic}/{partition}/"
    source = f"voucher-ledger/{room}"
    dumps = orjson.dumps

    def encode(event: Event, command: Command) -> bytes:
        return dumps(
            {
                "specversion": SPECVERSION,
                "id": f"{prefix}{command.offset}/0",
                "source": source,
                "type": event.type,
                "time": rfc3339(command.time_ms),
                "data": event.data,
            }
        )

    return encode

"""Events as CloudEvents 1.0, JSON structured mode (cloudevents/spec, formats/json-format.md)."""

from collections.abc import Callable

import orjson

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Command, Event

SPECVERSION = "1.0"


def encoder(room: str, command_topic: str, partition: int) -> Callable[[Event, Command], bytes]:
    """Encodes the outcomes of one partition's commands; the id names the cause: `<topic>/<partition>/<offset>/0`.

    The envelope is put around the data as text: nothing in it needs escaping. What orjson returns is cut from a block
    of a kilobyte, so keeping thousands of them cost more than encoding does: only the copies are kept.
    """
    before_offset = f'{{"specversion":"{SPECVERSION}","id":"{command_topic}/{partition}/'
    before_type = f'/0","source":"voucher-ledger/{room}","type":"'
    dumps = orjson.dumps

    def encode(event: Event, command: Command) -> bytes:
        head = f'{before_offset}{command.offset}{before_type}{event.type}","time":"{rfc3339(command.time_ms)}","data":'
        return b"%b%b}" % (head.encode(), dumps(event.data))

    return encode

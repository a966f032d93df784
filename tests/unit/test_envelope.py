"""Events as they are encoded: the envelope is put around the data as text, and must be what one encoder would write."""

from typing import Any

import orjson
import pytest

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.envelope import encoder
from voucher_ledger.core.messages import COMMANDS_BY_TOPIC, EVENT_TOPIC_BY_COMMAND_TOPIC, EVENTS_BY_TOPIC
from voucher_ledger.core.messages import ROOM_BY_COMMAND_TOPIC as ROOMS
from voucher_ledger.core.records import Command, Event

NOW_MS = 1_770_336_000_123
DATA: tuple[dict[str, Any], ...] = (
    {"user_id": "u-1", "city_tier": 3, "more": ["a", "b"], "duplicate": True, "none": None},
    {"user_id": 'a"b\\c/é春\u2028', "detail": '"}', "percent": "%b %d {0} {}"},
    {},
)


@pytest.mark.parametrize("topic", COMMANDS_BY_TOPIC)
def test_an_event_is_encoded_as_its_whole_would_be(topic: Any) -> None:
    encode = encoder(ROOMS[topic], topic, 4)
    for type_ in EVENTS_BY_TOPIC[EVENT_TOPIC_BY_COMMAND_TOPIC[topic]]:
        for data in DATA:
            whole = {
                "specversion": "1.0",
                "id": f"{topic}/4/123/0",
                "source": f"voucher-ledger/{ROOMS[topic]}",
                "type": type_,
                "time": rfc3339(NOW_MS),
                "data": data,
            }
            command = Command("voucher.claim", 'c"%b', data, 4, 123, NOW_MS)
            assert encode(Event(type_, data), command) == orjson.dumps(whole)

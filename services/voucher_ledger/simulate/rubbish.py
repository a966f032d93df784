"""Records that no processor can decide: each kind of bad input that the world sends. Pure and seeded."""

from collections.abc import Callable
from random import Random

import orjson

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.produce.records import TimedCommand

_TOO_LARGE_BYTES = 70_000
_MEGABYTE_BYTES = 950_000

Envelope = dict[str, object]
Record = tuple[bytes | None, bytes | None]


def _good(topic: str, draw: Random, time_ms: int) -> tuple[Envelope, Envelope]:
    """A command that would be decided (its envelope and, inside it, its data): what the rubbish is made from."""
    user_id = f"rubbish-{draw.randrange(10**9)}"
    if topic == "campaign.commands":
        kind = "campaign.top_up"
        data: Envelope = {"campaign_id": user_id, "quota": 1, "budget_minor": 1, "approved_by": "me", "reason": "more"}
    elif topic == "claim.commands":
        kind = "voucher.claim"
        data = {"campaign_id": "rubbish", "user_id": user_id, "city_tier": 2}
    elif topic == "order.commands":
        kind = "order.reserve"
        data = {"order_id": "rubbish", "user_id": user_id, "voucher_id": "rubbish", "merchant_id": "m-1"}
        data |= {"category": "tea", "amount_minor": 900}
    else:
        kind = "payment.settle"
        data = {"payment_id": "rubbish", "order_id": "rubbish", "user_id": user_id, "paid_minor": 0}
    envelope: Envelope = {"specversion": "1.0", "id": user_id, "source": "rubbish", "type": kind}
    return envelope | {"time": rfc3339(time_ms), "data": data}, data


# A field that must be an integer, for each topic; "~" stands for it in the kinds below.
_INTEGER_FIELD = {
    "campaign.commands": "quota",
    "claim.commands": "city_tier",
    "order.commands": "amount_minor",
    "payment.commands": "paid_minor",
}
_KEY_FIELD = {"campaign.commands": "campaign_id"}


def _with_data(**change: object) -> Callable[[str, Random, int], Record]:
    """A kind whose data has other fields; `integer` names the topic's own integer field."""

    def make(topic: str, draw: Random, time_ms: int) -> Record:
        envelope, data = _good(topic, draw, time_ms)
        key = _key(topic, data)
        for name, value in change.items():
            data[_INTEGER_FIELD[topic] if name == "integer" else name] = value
        return key, orjson.dumps(envelope)

    return make


def _with_number(text: bytes) -> Callable[[str, Random, int], Record]:
    """A kind whose integer field holds a number that only text can write."""

    def make(topic: str, draw: Random, time_ms: int) -> Record:
        envelope, data = _good(topic, draw, time_ms)
        data[_INTEGER_FIELD[topic]] = "~"
        return _key(topic, data), orjson.dumps(envelope).replace(b'"~"', text)

    return make


def _with_envelope(**change: object) -> Callable[[str, Random, int], Record]:
    def make(topic: str, draw: Random, time_ms: int) -> Record:
        envelope, data = _good(topic, draw, time_ms)
        changed = {name: value for name, value in (envelope | change).items() if value is not None}
        return _key(topic, data), orjson.dumps(changed)

    return make


def _key(topic: str, data: Envelope) -> bytes:
    return str(data[_KEY_FIELD.get(topic, "user_id")]).encode()


def _value(value: bytes | None) -> Callable[[str, Random, int], Record]:
    return lambda _topic, draw, _time_ms: (f"rubbish-{draw.randrange(10**9)}".encode(), value)


def _keyed(key: bytes | None) -> Callable[[str, Random, int], Record]:
    return lambda topic, draw, time_ms: (key, orjson.dumps(_good(topic, draw, time_ms)[0]))


def _cut(topic: str, draw: Random, time_ms: int) -> Record:
    envelope, data = _good(topic, draw, time_ms)
    whole = orjson.dumps(envelope)
    return _key(topic, data), whole[: draw.randrange(1, len(whole))]


def _missing(topic: str, draw: Random, time_ms: int) -> Record:
    envelope, data = _good(topic, draw, time_ms)
    key = _key(topic, data)
    required = sorted(set(data) - {"city_tier"})
    del data[required[draw.randrange(len(required))]]
    return key, orjson.dumps(envelope)


def _bytes_of(count: int) -> Callable[[str, Random, int], Record]:
    return _with_data(name="x" * count)


# Every kind by its name, in the order in which they are sent.
KINDS: dict[str, Callable[[str, Random, int], Record]] = {
    "not JSON": _value(b"hello"),
    "an empty value": _value(b""),
    "cut off": _cut,
    "JSON, but a list": _value(b"[1, 2, 3]"),
    "JSON, but null": _value(b"null"),
    "nested deeply": _value(b"[" * 5_000 + b"]" * 5_000),
    "invalid UTF-8": _value(b'{"specversion":"1.0","id":"\xff\xfe"}'),
    "a lone surrogate": _value(b'{"specversion":"1.0","id":"\\ud800"}'),
    "a null value": _value(None),
    "a null key": _keyed(None),
    "a null value and key": lambda _topic, _draw, _time_ms: (None, None),
    "another's key": _keyed(b"somebody-else"),
    "a key of invalid UTF-8": _keyed(b"\xff\xfe\x00"),
    "a missing field": _missing,
    "an unknown field": _with_data(discount_for_me=100),
    "text for a number": _with_data(integer="12"),
    "a list for a number": _with_data(integer=[1]),
    "a negative number": _with_data(integer=-1),
    "a number too large": _with_data(integer=10**15 + 1),
    "2^63": _with_data(integer=2**63),
    "10^30": _with_number(b"1" + b"0" * 30),
    "1e400": _with_number(b"1e400"),
    "NaN": _with_number(b"NaN"),
    "Infinity": _with_number(b"-Infinity"),
    "a fraction": _with_number(b"1.5"),
    "a float that is whole": _with_number(b"1.0"),
    "true for a number": _with_data(integer=True),
    "a control character": _with_envelope(id="a\x00b"),
    "an empty id": _with_envelope(id=""),
    "an id too long": _with_envelope(id="x" * 129),
    "an unknown type": _with_envelope(type="voucher.steal"),
    "no type": _with_envelope(type=None),
    "data of the wrong kind": _with_envelope(data="everything"),
    "another CloudEvents version": _with_envelope(specversion="0.3"),
    "no time": _with_envelope(time=None),
    "a time in another zone": _with_envelope(time="2026-02-06T08:00:00+08:00"),
    "a time without a zone": _with_envelope(time="2026-02-06T00:00:00"),
    "a time that is none": _with_envelope(time="2026-02-30T25:61:00Z"),
    "a time in words": _with_envelope(time="tomorrow"),
    "more than a command may have": _bytes_of(_TOO_LARGE_BYTES),
}
_NAMES = list(KINDS)
_TOPICS = ("claim.commands", "order.commands", "payment.commands", "campaign.commands")
# Once in so many rounds through the kinds, the large one is about a megabyte: as much as the topics take.
_MEGABYTE_ROUNDS = 10


def rubbish(number: int, draw: Random, time_ms: int) -> TimedCommand:
    """Record `number` (from 0) of the rubbish: the kinds in turn, the topics in turn within each."""
    names = _NAMES
    round_, place = divmod(number, len(names))
    topic = _TOPICS[(number + round_) % len(_TOPICS)]
    make = KINDS[names[place]]
    if place == len(names) - 1 and round_ % _MEGABYTE_ROUNDS == 0:
        make = _bytes_of(_MEGABYTE_BYTES)
    key, value = make(topic, draw, time_ms)
    return TimedCommand(time_ms, topic, key, value)

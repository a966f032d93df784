"""Records as no good producer sends them, and odd ones that are good, made by hypothesis for every command topic."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

import orjson
from hypothesis import strategies as st

from tests.integration.commands import claim
from tests.integration.world import COMMAND_TOPICS
from voucher_ledger.core.messages import COMMANDS_BY_TOPIC, KEY_FIELD_BY_COMMAND_TOPIC
from voucher_ledger.core.validation_schema import load_schema
from voucher_ledger.runtime.outbox import DEAD_LETTER_HEADERS
from voucher_ledger.simulate.rubbish import KINDS

Header = tuple[str, bytes | None]
OWN_HEADERS = set(DEAD_LETTER_HEADERS)
RECORD_TIME_MS = 1_770_307_200_000
GOOD_MIN = 30
RUBBISH_MIN = 150


@dataclass(frozen=True, slots=True)
class Sent:
    """A record as a producer sends it; `is_good` where it is a claim that must be granted."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    is_good: bool = False


class Batch(list[Sent]):
    """Records sent together; too many to be shown one by one."""

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(f"{len(self)} records")


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
odd_words = st.text(st.sampled_from(list("\\\"'\t\n\0\x7f\u2028,{}|NnZ漢🎁 ")), min_size=1, max_size=8)
numbers = st.sampled_from(
    [0, -1, 1.0, 1.5, 2**31, 10**15, 10**15 + 1, 2**53, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**64), 10**40]
)
scalars = st.none() | st.booleans() | numbers | words | odd_words
times = st.sampled_from(
    ["2026-02-06T00:00:00+08:00", "2026-02-06T00:00:00", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "noon",
     "2026-02-06T00:00:60Z", "2026-02-06 00:00:00Z", "2026-02-06T00:00:00-00:00", "2026-02-06T00:00:00.123456789Z"]
)  # fmt: skip
values = st.one_of(scalars, times, st.lists(scalars, max_size=2), st.dictionaries(words, scalars, max_size=2))
# A name without NUL: librdkafka takes C strings.
headers = st.lists(
    st.tuples(
        st.sampled_from([*sorted(OWN_HEADERS), "dlq_note", "traceparent", "漢", " ", "x" * 300]),
        st.none() | st.binary(max_size=12),
    ),
    max_size=3,
).map(tuple)
KEY_FIELDS: dict[str, str] = dict(KEY_FIELD_BY_COMMAND_TOPIC.items())
EXAMPLES: list[tuple[str, dict[str, Any]]] = [
    (topic, load_schema("commands", type_)["examples"][0])
    for topic, types in COMMANDS_BY_TOPIC.items()
    for type_ in types
]
_numbers = count()


def _key(topic: str, envelope: dict[str, Any]) -> bytes | None:
    data = envelope.get("data")
    owner = data.get(KEY_FIELDS[topic]) if isinstance(data, dict) else None
    return owner.encode() if isinstance(owner, str) else None


@st.composite
def mutated(draw: st.DrawFn) -> Sent:
    """A valid command with a field changed, dropped or added, in its envelope or its data."""
    topic, example = draw(st.sampled_from(EXAMPLES))
    envelope = orjson.loads(orjson.dumps(example))
    target = envelope if draw(st.booleans()) else envelope["data"]
    name = draw(st.sampled_from([*target, "surprise"]))
    if draw(st.integers(0, 3)) == 0:
        target.pop(name, None)
    else:
        target[name] = draw(values)
    return Sent(topic, _key(topic, envelope), _dumps(envelope), draw(headers))


def _dumps(value: object) -> bytes:
    """JSON with integers of any size, and NaN."""
    return json.dumps(value, ensure_ascii=False).encode()


@st.composite
def named_rubbish(draw: st.DrawFn) -> Sent:
    """One of the kinds that the simulation sends."""
    topic = draw(st.sampled_from(COMMAND_TOPICS))
    key, value = KINDS[draw(st.sampled_from(list(KINDS)))](topic, Random(draw(st.integers(0, 2**32))), RECORD_TIME_MS)
    return Sent(topic, key, value, draw(headers))


@st.composite
def any_bytes(draw: st.DrawFn) -> Sent:
    """Bytes without sense; null keys and values among them."""
    return Sent(
        draw(st.sampled_from(COMMAND_TOPICS)),
        draw(st.none() | st.binary(max_size=12)),
        draw(st.none() | st.binary(max_size=40)),
        draw(headers),
    )


@st.composite
def spelt(draw: st.DrawFn) -> Sent:
    """A valid command written in a way that only text can: a key twice, deep nesting, surrogates, NaN, sheer size."""
    topic, example = draw(st.sampled_from(EXAMPLES))
    text = orjson.dumps(example)
    spell = draw(st.sampled_from(SPELLS))
    return Sent(topic, _key(topic, example), spell(text), draw(headers))


SPELLS: list[Callable[[bytes], bytes]] = [
    lambda text: text[:-1] + b',"id":"again"}',
    lambda text: text[:-1] + b',"data":{}}',
    lambda text: text[:-1] + b',"deep":' + b"[" * 1_000 + b"]" * 1_000 + b"}",
    lambda text: text[:-1] + b',"deep":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}",
    lambda text: text[:-1] + b',"lone":"\\ud800"}',
    lambda text: text[:-1] + b',"n":NaN}',
    lambda text: text[:-1] + b',"n":-Infinity,"m":1e999}',
    lambda text: text[:-1] + b',"bytes":"\xc3\x28"}',
    lambda text: b"\xef\xbb\xbf" + text,
    lambda text: text.decode().encode("utf-16"),
    lambda text: text + text,
    lambda text: b" \n\t" + text + b"\r\n",
    lambda text: text[:-1] + b',"padding":"' + b"x" * 60_000 + b'"}',
    lambda text: text[:-1] + b',"text":"' + b"x" * 900_000 + b'"}',
    lambda text: text.replace(b":", b":\x00", 1),
]


@st.composite
def good(draw: st.DrawFn) -> Sent:
    """A claim whose ids and channel are odd but legal: all that COPY, JSON and SQL give a meaning to."""
    legal = st.text(
        st.sampled_from(list("\\.\"'%,{}[]|;:NULLntrx\u2028\u00a0漢🎁-- ")), min_size=1, max_size=10
    )  # fmt: skip
    number = next(_numbers)
    odd = {"user_id": f"{number}{draw(legal)}", "channel": draw(legal), "device_id": draw(legal)}
    command = claim(number, city_tier=draw(st.integers(1, 6)), **odd)
    command["id"] = f"{draw(legal)}{number}"
    return Sent("claim.commands", _key("claim.commands", command), orjson.dumps(command), draw(headers), is_good=True)


@st.composite
def records(draw: st.DrawFn) -> Batch:
    """One batch: good claims among rubbish, in any order."""
    rubbish = st.one_of(mutated(), mutated(), mutated(), named_rubbish(), any_bytes(), spelt())
    batch = Batch(draw(st.lists(good(), min_size=GOOD_MIN, max_size=2 * GOOD_MIN)))
    batch += draw(st.lists(rubbish, min_size=RUBBISH_MIN, max_size=RUBBISH_MIN + GOOD_MIN))
    draw(st.randoms(use_true_random=False)).shuffle(batch)
    return batch

"""Bad input on every command topic: commands in = outcomes + dead letters, exactly, and nobody's neighbour is lost."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any, cast

import orjson
import pytest
from confluent_kafka import Message
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.guards import FAULTS, STRUCK_USER
from tests.integration.world import COMMAND_TOPICS, DEAD_LETTERS, WAIT_SECONDS_MAX, World, claim
from voucher_ledger.core.messages import COMMANDS_BY_TOPIC, KEY_FIELD_BY_COMMAND_TOPIC
from voucher_ledger.core.validation_schema import load_schema
from voucher_ledger.runtime.outbox import DEAD_LETTER_HEADERS
from voucher_ledger.simulate.rubbish import KINDS

pytestmark = pytest.mark.integration

Header = tuple[str, bytes | None]
Place = tuple[str, int, int]
OWN_HEADERS = set(DEAD_LETTER_HEADERS)
RECORD_TIME_MS = 1_770_307_200_000
RECORDS_MIN, RECORDS_MAX = 180, 220


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

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
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
    command = claim(number, user_id=f"{number}{draw(legal)}", channel=draw(legal), city_tier=draw(st.integers(1, 6)))
    command["id"] = f"{draw(legal)}{number}"
    return Sent("claim.commands", _key("claim.commands", command), orjson.dumps(command), draw(headers), is_good=True)


records = st.lists(
    st.one_of(mutated(), mutated(), mutated(), named_rubbish(), any_bytes(), spelt(), good(), good()),
    min_size=RECORDS_MIN,
    max_size=RECORDS_MAX,
).map(Batch)


def send(world: World, batch: Sequence[Sent]) -> dict[Place, Sent]:
    """Produce all; what was sent, by its place."""
    places: dict[Place, Sent] = {}

    def delivered(record: Sent) -> Callable[[Any, Message], None]:
        def note(error: Any, message: Message) -> None:
            assert error is None, error
            places[record.topic, message.partition() or 0, message.offset() or 0] = record

        return note

    for record in batch:
        world.producer.produce(
            record.topic, record.value, record.key, headers=list(record.headers), on_delivery=delivered(record)
        )
    assert world.producer.flush(WAIT_SECONDS_MAX) == 0
    assert len(places) == len(batch)
    return places


def dead_letters(world: World) -> dict[Place, Message]:
    """The dead letters by the places of their records."""
    found: dict[Place, Message] = {}
    for letter in world.read(DEAD_LETTERS):
        own = {name: value or b"" for name, value in headers_of(letter) if name in OWN_HEADERS}
        place = (own["dlq_topic"].decode(), int(own["dlq_partition"]), int(own["dlq_offset"]))
        assert place not in found
        found[place] = letter
    return found


def headers_of(message: Message) -> list[Header]:
    """A consumed record's headers, in order."""
    return cast("list[Header]", message.headers() or [])


def foreign(given_headers: list[Header] | tuple[Header, ...]) -> list[Header]:
    """The headers that are not the ledger's own."""
    return [(name, value) for name, value in given_headers if name not in OWN_HEADERS]


def check_untouched(letter: Message, record: Sent) -> None:
    """A dead letter is the record as it came, and says in words why it is one."""
    assert (letter.value(), letter.key()) == (record.value, record.key)
    carried = headers_of(letter)
    assert foreign(carried) == foreign(record.headers)
    own = [name for name, _ in carried if name in OWN_HEADERS]
    assert sorted(own) == sorted(OWN_HEADERS)
    assert (dict(carried)["dlq_error"] or b"").decode().isprintable()


def check_granted(world: World, goods: list[Sent]) -> None:
    """Each good claim has its voucher, with ids and channel as they were sent."""
    stored = set(world.connection.execute("SELECT command_id, user_id, channel, city_tier FROM books.voucher"))
    told = {
        (event["data"]["command_id"], event["data"]["user_id"], event["data"].get("channel"))
        for event in world.outcomes("claim")
        if event["type"] == "voucher.granted"
    }
    for record in goods:
        command = orjson.loads(record.value or b"")
        data = command["data"]
        assert (command["id"], data["user_id"], data["channel"], data["city_tier"]) in stored
        assert (command["id"], data["user_id"], data["channel"]) in told


def test_commands_in_are_outcomes_and_dead_letters(world: World) -> None:
    world.open_campaign(quota=100_000, budget_minor=100_000 * 2_500)
    processors = [world.spawn(topic.removesuffix(".commands") + "s") for topic in COMMAND_TOPICS]
    sent: dict[Place, Sent] = {}

    @settings(
        max_examples=6, deadline=None, database=None, phases=[Phase.generate], print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )  # fmt: skip
    @given(records)
    def batch_is_answered(batch: Batch) -> None:
        places = send(world, batch)
        sent.update(places)
        for topic in COMMAND_TOPICS:
            opened = topic == "campaign.commands"
            world.wait_answered(topic, sum(place[0] == topic for place in sent) + opened)
        assert [process.poll() for process in processors] == [None] * len(processors)
        assert world.faults() == []
        letters = dead_letters(world)
        for place in letters.keys() & places.keys():
            check_untouched(letters[place], places[place])
        goods = [(place, record) for place, record in places.items() if record.is_good]
        assert [place for place, _ in goods if place in letters] == []
        check_granted(world, [record for _, record in goods])
        assert letters.keys() & places.keys()  # this test tests nothing without
        assert goods

    batch_is_answered()


def test_a_record_redriven_counts_its_attempts_up(world: World) -> None:
    world.spawn("claims")
    record = Sent("claim.commands", b"\xff", b"not JSON", (("traceparent", b"00-1"), ("empty", None)))
    send(world, [record])
    for attempt in range(1, 4):
        world.wait_answered("claim.commands", attempt)
        letters = world.read(DEAD_LETTERS)
        assert len(letters) == attempt
        newest = max(letters, key=lambda letter: int(dict(headers_of(letter))["dlq_attempts"] or 0))
        check_untouched(newest, record)
        assert dict(headers_of(newest))["dlq_attempts"] == str(attempt).encode()
        send(world, [Sent(record.topic, newest.key(), newest.value(), tuple(headers_of(newest)))])
    world.wait_answered("claim.commands", 4)
    assert world.faults() == []


@pytest.mark.parametrize("fault", FAULTS)
def test_one_records_fault_is_its_own(world: World, fault: str) -> None:
    """A decision that throws, a change that throws, a row that Postgres refuses: the neighbours are decided."""
    world.open_campaign()
    claims = [claim(number) for number in range(300)]
    world.send("claim.commands", claims, partition=0)  # one partition: all in one batch
    process = world.spawn("claims", fault=fault)
    world.wait_answered("claim.commands", 300)
    outcomes = world.outcomes("claim")
    assert {event["type"] for event in outcomes} == {"voucher.granted"}
    assert len(outcomes) == 299
    letters = world.read(DEAD_LETTERS)
    assert [letter.key() for letter in letters] == [STRUCK_USER.encode()]
    assert (dict(headers_of(letters[0]))["dlq_error"] or b"").startswith(b"the decision failed: ")
    assert process.poll() is None
    assert world.faults() == []

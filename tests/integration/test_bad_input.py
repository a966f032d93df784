"""Bad input on every command topic: commands in = outcomes + dead letters, exactly, and nobody's neighbour is lost."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import orjson
import pytest
from confluent_kafka import Message, Producer
from hypothesis import HealthCheck, Phase, given, settings

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.guards import FAULTS_OF_ONE, STRUCK_USER
from tests.integration.odd_records import OWN_HEADERS, Batch, Header, Sent, records
from tests.integration.raw_producer import produce_with_header_name
from tests.integration.reading import DEAD_LETTERS
from tests.integration.replay_days import new_database
from tests.integration.tools import Tool
from tests.integration.world import COMMAND_TOPICS, World
from voucher_ledger.runtime.kafka import producer_config

pytestmark = pytest.mark.integration

Place = tuple[str, int, int]


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
    stored = set(
        world.connection.execute("SELECT command_id, user_id, channel, device_id, city_tier FROM books.voucher")
    )
    told = {
        tuple(event["data"].get(name) for name in ("command_id", "user_id", "channel", "device_id"))
        for event in world.outcomes("claim")
        if event["type"] == "voucher.granted"
    }
    for record in goods:
        command = orjson.loads(record.value or b"")
        data = command["data"]
        sent = (command["id"], data["user_id"], data["channel"], data["device_id"])
        assert (*sent, data["city_tier"]) in stored
        assert sent in told


def test_commands_in_are_outcomes_and_dead_letters(world: World) -> None:
    # Odd devices are counted too.
    world.open_campaign(quota=100_000, budget_minor=100_000 * 2_500, limits={"per_device": 100_000})
    processors = [world.spawn(topic.removesuffix(".commands") + "s") for topic in COMMAND_TOPICS]
    sent: dict[Place, Sent] = {}

    @settings(
        max_examples=6, deadline=None, database=None, phases=[Phase.generate], print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )  # fmt: skip
    @given(records())
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
        assert letters.keys() & places.keys()  # without any, nothing was tested

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


def test_a_record_that_fits_the_topic_only_compressed_stops_nobody(world: World) -> None:
    """A broker bounds the compressed size of a batch, so a record may come that is larger than a client's bound."""
    world.open_campaign()
    process = world.spawn("claims")
    value = b'{"padding": "' + b"0123456789" * 1_000_000 + b'"}'
    overrides = {"message_max_bytes": 2 * len(value), "compression_type": "zstd"}
    producer = Producer(producer_config(world.settings, **overrides))
    producer.produce("claim.commands", value, b"user-1", partition=0)
    assert producer.flush(WAIT_SECONDS_MAX) == 0
    world.send("claim.commands", [claim(1)], partition=0)
    world.wait_answered("claim.commands", 2)
    assert [(letter.key(), letter.value() == value) for letter in world.read(DEAD_LETTERS)] == [(b"user-1", True)]
    assert process.poll() is None
    assert world.faults() == []


@pytest.mark.parametrize(("count", "zeros"), [(1, 120_000_000), (100, 1_000_000)], ids=["a record", "a batch"])
def test_many_zeros_stop_nobody(
    world: World, count: int, zeros: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some kilobytes for the broker, and decompressed more than a client takes: it asks for them for ever."""
    world.open_campaign()
    world.send("claim.commands", [claim(1)], partition=0)
    value = bytes(zeros)
    overrides: dict[str, Any] = dict.fromkeys(("message_max_bytes", "batch_size"), 2 * count * zeros)
    overrides |= {"linger_ms": 30_000, "batch_num_messages": count}  # all of them in one batch
    producer = Producer(producer_config(world.settings, **overrides, compression_type="zstd"))
    for number in range(count):
        producer.produce("claim.commands", value, f"user-{number}".encode(), partition=0)
    assert producer.flush(WAIT_SECONDS_MAX) == 0
    process = world.spawn("claims")
    world.send("claim.commands", [claim(2)], partition=0)
    world.send("claim.commands", [claim(3)], partition=1)
    world.wait_answered("claim.commands", count + 3)
    letters = world.read(DEAD_LETTERS)
    assert {(letter.key(), letter.value()) for letter in letters} == {(None, None)}
    assert len(letters) == count
    assert all(b"can't be decompressed" in (dict(headers_of(letter))["dlq_error"] or b"") for letter in letters)
    assert [event["type"] for event in world.outcomes("claim")] == ["voucher.granted"] * 3
    assert process.poll() is None
    assert world.faults() == []
    # Those who look a command up meet the batch as well: a marker is an offset without an answer, and so looked up.
    transactional = Producer(producer_config(world.settings, transactional_id="zeros"))
    transactional.init_transactions(WAIT_SECONDS_MAX)
    transactional.begin_transaction()
    transactional.produce("claim.commands", b"no command", b"user-1", partition=0)
    transactional.commit_transaction(WAIT_SECONDS_MAX)
    world.send("claim.commands", [claim(4)], partition=0)
    world.wait_answered("claim.commands", count + 5)
    tool = Tool(world, monkeypatch, capsys)
    assert "not equal" not in tool.run("verify")
    assert "can't be decompressed" in tool.run("trace", f"claim.commands/0/{count}")
    world.stop_cleanly(process, "claim", 4)
    assert "would be rebuilt" in tool.run("rebuild", "--into", new_database(world))


@pytest.mark.parametrize("fault", FAULTS_OF_ONE)
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


def test_a_right_that_is_missing_is_no_records_fault(world: World) -> None:
    """What the database as a whole lacks stops the room: else every command would become a dead letter."""
    world.open_campaign()
    world.connection.execute("REVOKE INSERT ON books.voucher FROM voucher_ledger_writer")
    process = world.spawn("claims")
    world.send("claim.commands", [claim(1), claim(2)])
    assert process.wait(WAIT_SECONDS_MAX) != 0
    world.children.remove(process)  # its end was wanted
    world.connection.execute("GRANT INSERT ON books.voucher TO voucher_ledger_writer")
    world.spawn("claims")
    world.wait_answered("claim.commands", 2)
    assert [event["type"] for event in world.outcomes("claim")] == ["voucher.granted"] * 2
    assert world.read(DEAD_LETTERS) == []
    assert world.faults() == []


@pytest.mark.parametrize("fault", ["", "throwing_decision"])
def test_a_header_name_that_is_not_utf_8_stops_nobody(world: World, fault: str) -> None:
    """Kafka asks no UTF-8 of header names, but its Python client does: such headers can't be carried along."""
    world.open_campaign()
    process = world.spawn("claims", fault=fault)
    struck = orjson.dumps(claim(int(STRUCK_USER.removeprefix("user-"))))
    name = b"name \xff\xfe"
    produce_with_header_name(world, "claim.commands", name, STRUCK_USER.encode(), struck if fault else b"not JSON")
    world.send("claim.commands", [claim(1)])
    world.wait_answered("claim.commands", 2)
    letters = world.read(DEAD_LETTERS)
    assert [letter.key() for letter in letters] == [STRUCK_USER.encode()]
    assert b"headers are left out" in (dict(headers_of(letters[0]))["dlq_error"] or b"")
    assert process.poll() is None
    assert world.faults() == []

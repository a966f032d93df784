"""The sweeper against a real Kafka and Postgres: what is due becomes a command, once, by one sweeper at a time."""

import threading
import time
from collections.abc import Callable, Iterator

import orjson
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim, envelope
from tests.integration.waits import wait_assigned
from tests.integration.world import World
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.ledger import vouchers
from voucher_ledger.runtime.command_sender import stamped_by_broker
from voucher_ledger.runtime.errors import NotSetUp, Unreachable
from voucher_ledger.runtime.kafka import admin_config
from voucher_ledger.sweeper import run
from voucher_ledger.sweeper.loop import Sweep, new_underway
from voucher_ledger.sweeper.plan import RecentlySent
from voucher_ledger.sweeper.store import DueStore

pytestmark = pytest.mark.integration

THREAD_SECONDS_MAX = 30.0
PAST_MS = 1_000
FAR_MS = 9_000_000_000_000


def voucher(world: World, voucher_id: str, *, expires_at_ms: int = PAST_MS, state: str = "granted") -> None:
    world.connection.execute(
        "INSERT INTO books.voucher VALUES (%s, 'grey', %s, 1, 0, %s, 2500, 0, %s, 'c')",
        (voucher_id, f"user-of-{voucher_id}", state, expires_at_ms),
    )


def hold(world: World, order_id: str, *, expires_at_ms: int = PAST_MS, state: str = "held") -> None:
    world.connection.execute(
        "INSERT INTO books.reservation VALUES (%s, 'v', 'grey', %s, 'm', 'tea', NULL, 3000, 2500, %s, 0, %s)",
        (order_id, f"user-of-{order_id}", state, expires_at_ms),
    )


def ids(records: list[Message]) -> list[str]:
    return sorted(orjson.loads(record.value() or b"")["id"] for record in records)


@pytest.fixture
def sweep(world: World) -> Iterator[Sweep]:
    made = Sweep(world.settings, RecentlySent(100, 60_000), new_underway())
    yield made
    made.close()


@pytest.fixture
def start(world: World) -> Iterator[Callable[[], Callable[[], None]]]:
    """Start a sweeper in a thread; what it returns stops it and waits for its end."""
    stops: list[Callable[[], None]] = []

    def start_one() -> Callable[[], None]:
        stopping = threading.Event()
        thread = threading.Thread(target=run, args=(world.settings, stopping))
        thread.start()

        def stop() -> None:
            stopping.set()
            thread.join(THREAD_SECONDS_MAX)
            assert not thread.is_alive(), "the sweeper did not stop"

        stops.append(stop)
        return stop

    yield start_one
    for stop in stops:
        stop()


def test_only_what_is_due_is_sent(world: World, sweep: Sweep) -> None:
    voucher(world, "due")
    voucher(world, "later", expires_at_ms=FAR_MS)
    for state in ("held", "spent", "expired"):
        voucher(world, state, state=state)
    hold(world, "due")
    hold(world, "later", expires_at_ms=FAR_MS)
    for state in ("cancelled", "expired", "settled", "refunded"):
        hold(world, state, state=state)
    assert sweep.round() == 2
    for topic, type_ in (("claim.commands", "voucher.expire"), ("order.commands", "order.expire")):
        (record,) = world.read(topic)
        decoded = CommandDecoder(topic).decode(record.value(), record.key())
        assert (decoded.type, decoded.id) == (type_, "expire-due")
        assert record.key() == b"user-of-due"


def test_commands_go_to_the_partition_of_their_user(world: World, sweep: Sweep) -> None:
    for number in range(20):
        voucher(world, f"v-{number}")
    sweep.round()
    swept = {record.key(): record.partition() for record in world.read("claim.commands")}
    claims = [
        envelope("voucher.claim", f"c-{key.decode()}", {"campaign_id": "grey", "user_id": key.decode()})
        for key in swept
        if key is not None
    ]
    world.send("claim.commands", claims)
    partitions: dict[bytes | None, set[int | None]] = {}
    for record in world.read("claim.commands", 40):
        partitions.setdefault(record.key(), set()).add(record.partition())
    assert partitions == {key: {partition} for key, partition in swept.items()}
    assert len(set(swept.values())) > 1


def test_what_waits_to_be_decided_is_not_sent_again(world: World, sweep: Sweep) -> None:
    voucher(world, "first")
    assert sweep.round() == 1
    assert sweep.round() == 0
    voucher(world, "second")
    assert sweep.round() == 1
    assert ids(world.read("claim.commands")) == ["expire-first", "expire-second"]


def test_what_is_still_due_after_its_time_is_sent_again(world: World) -> None:
    voucher(world, "lost")
    sweep = Sweep(world.settings, RecentlySent(100, again_after_ms=0), new_underway())
    assert sweep.round() == 1
    assert sweep.round() == 1
    sweep.close()
    assert ids(world.read("claim.commands")) == ["expire-lost", "expire-lost"]


def test_simulated_time_is_that_of_the_records(world: World) -> None:
    """With CreateTime the wall clock means nothing: due is what the latest decided record is past."""
    admin = AdminClient(admin_config(world.settings))
    entry = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    resources = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
                 for topic in ("claim.commands", "order.commands")]  # fmt: skip
    for future in admin.incremental_alter_configs(resources).values():
        future.result()
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while any(stamped_by_broker(world.settings, ["claim.commands", "order.commands"]).values()):
        assert time.monotonic() < deadline, "the topics' new setting is not seen"
    now_ms = 1_770_336_000_123
    voucher(world, "due", expires_at_ms=now_ms)
    voucher(world, "not-due", expires_at_ms=now_ms + 1)
    hold(world, "not-due", expires_at_ms=now_ms + 1)
    sweep = Sweep(world.settings, RecentlySent(100, 60_000), new_underway())
    assert sweep.round() == 0, "nothing was decided yet, so it is no time at all"
    world.connection.execute(
        """INSERT INTO books.position VALUES
        ('order.commands', 0, 1, 1, 'id', 'i', %s), ('claim.commands', 0, 1, 1, 'id', 'i', 5)""",
        (now_ms,),
    )
    assert sweep.round() == 1
    sweep.close()
    (record,) = world.read("claim.commands")
    assert ids([record]) == ["expire-due"]
    assert record.timestamp() == (TIMESTAMP_CREATE_TIME, now_ms)


def test_one_sweeper_acts_and_the_standby_takes_over(world: World, start: Callable[[], Callable[[], None]]) -> None:
    voucher(world, "first")
    stop_acting = start()
    assert ids(world.read("claim.commands", 1)) == ["expire-first"]
    onlooker = DueStore(world.settings)
    assert not onlooker.take_turn(), "the turn is taken while a sweeper acts"
    start()
    voucher(world, "second")
    assert ids(world.read("claim.commands", 2)) == ["expire-first", "expire-second"]
    stop_acting()
    onlooker.close()
    voucher(world, "third")
    # It remembers nothing of what the first sent: all that is due is sent again, and the third with it or after it.
    assert "expire-third" in ids(world.read("claim.commands", 5))


def test_a_lost_session_is_followed_by_another(world: World, start: Callable[[], Callable[[], None]]) -> None:
    voucher(world, "before")
    start()
    world.read("claim.commands", 1)
    killed = world.connection.execute(
        """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name = 'voucher-ledger-sweeper' AND datname = current_database()"""
    ).fetchone()
    assert killed == (1,)
    voucher(world, "after")
    assert ids(world.read("claim.commands", 2)) == ["expire-after", "expire-before"]


def test_a_sweeper_that_never_reached_postgres_says_so(world: World) -> None:
    unreachable = world.settings.model_copy(update={"postgres": "host=127.0.0.1 port=1"})
    with pytest.raises(Unreachable, match="Postgres does not answer"):
        run(unreachable, threading.Event())


def test_a_sweeper_without_a_ledger_names_the_command_that_makes_it(world: World) -> None:
    world.connection.execute("DROP SCHEMA ledger CASCADE; DROP SCHEMA books CASCADE")
    with pytest.raises(NotSetUp, match="run `voucher-ledger migrate` first"):
        run(world.settings, threading.Event())


def test_vouchers_and_holds_expire_through_the_topics(world: World, start: Callable[[], Callable[[], None]]) -> None:
    """Hold first, then the voucher that it gave back; the rooms decide, and the books are right afterwards."""
    # Long enough that the order comes before the voucher expires, on a busy machine too.
    world.open_campaign(voucher_ttl_s=20, hold_ttl_s=1)
    for room in ("orders", "claims"):
        world.spawn(room)
    wait_assigned(world, "order.commands", 8)
    wait_assigned(world, "claim.commands", 8)
    world.send("claim.commands", [claim(1), claim(2)])
    granted = {event["data"]["user_id"]: event["data"]["voucher_id"] for event in world.outcomes("claim", 2)}
    user_id, voucher_id = next(iter(granted.items()))
    ids = {"order_id": "o-1", "user_id": user_id, "voucher_id": voucher_id}
    order = {**ids, "merchant_id": "m", "category": "tea", "amount_minor": 3_000}
    world.send("order.commands", [envelope("order.reserve", "reserve-1", order)])
    world.outcomes("order", 1)
    start()
    expired = [
        event["data"]["voucher_id"] for event in world.outcomes("claim", 4) if event["type"] == "voucher.expired"
    ]
    assert sorted(expired) == sorted(granted.values())
    assert [event["type"] for event in world.outcomes("order")] == ["order.reserved", "order.expired"]
    assert world.balances()["pool", "VOUCHER"] + world.balances()["lease", "VOUCHER"] == 1_000
    assert world.faults() == []


def test_what_is_due_and_closed_leaves_the_index_of_due_rows(world: World, sweep: Sweep) -> None:
    voucher(world, "spent", state="spent")
    voucher(world, "held", state="held")
    voucher(world, "later", state="expired", expires_at_ms=FAR_MS)
    hold(world, "settled", state="settled")
    hold(world, "open", expires_at_ms=FAR_MS)
    sweep.round()
    assert world.connection.execute("SELECT voucher_id FROM books.voucher WHERE swept").fetchall() == [("spent",)]
    assert world.connection.execute("SELECT order_id FROM books.reservation WHERE swept").fetchall() == [("settled",)]


def test_a_swept_voucher_that_comes_back_is_due_again(world: World, sweep: Sweep) -> None:
    voucher(world, "v", state="spent")
    sweep.round()
    held = vouchers.load_by_id(world.connection, ["v"], lock=False)[0]
    held.state = "granted"
    vouchers.update(world.connection, [held])
    assert sweep.round() == 1

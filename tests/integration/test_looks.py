"""What nobody tells a processor of, it notices by itself, also where no command comes to it."""

import time
from contextlib import closing

import pytest
from confluent_kafka import Consumer

from tests.integration import broker
from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.within import processor_within
from tests.integration.world import World
from voucher_ledger.run.rooms import ROOMS
from voucher_ledger.runtime import kafka, looks, topics
from voucher_ledger.runtime.errors import Inconsistent
from voucher_ledger.runtime.outbox import Outbox
from voucher_ledger.runtime.positions import Positions, connect
from voucher_ledger.runtime.recovery import Recovery

pytestmark = pytest.mark.integration

TOPIC = "claim.commands"
CLAIMS = 40
HOLDERS = """
SELECT pid FROM pg_stat_activity, pg_sleep(0.05)
WHERE datname = current_database() AND application_name = 'voucher-ledger-claims-instance'"""


@pytest.fixture
def loaded(world: World) -> World:
    """Claims of a campaign, not decided yet, in all partitions."""
    world.open_campaign()
    world.send(TOPIC, [claim(number) for number in range(CLAIMS)])
    return world


def name_holder(world: World) -> int:
    """The backend of the one connection that holds a name of claims."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while len(found := world.connection.execute(HOLDERS).fetchall()) != 1:
        assert time.monotonic() < deadline, f"the name is held by {found}"
    return int(found[0][0])


def test_a_name_that_was_lost_is_taken_again_before_anybody_comes(loaded: World) -> None:
    loaded.spawn("claims", instance="claims-0")
    loaded.outcomes("claim", CLAIMS)
    lost = name_holder(loaded)
    loaded.connection.execute("SELECT pg_terminate_backend(%s)", (lost,))
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while name_holder(loaded) == lost:
        assert time.monotonic() < deadline
    # Whoever comes now takes another name, and nobody is fenced.
    loaded.spawn("claims")
    loaded.wait_held_by(TOPIC, "claims-1")
    loaded.send(TOPIC, [claim(number) for number in range(CLAIMS, 2 * CLAIMS)])
    loaded.wait_answered(TOPIC, 2 * CLAIMS)
    assert loaded.faults() == []


@pytest.mark.parametrize(
    ("restored", "told"),
    [
        ("UPDATE books.position SET next_offset = 0", "the ledger has decided up to 0"),
        ("DELETE FROM books.position", "the ledger knows nothing of it"),
    ],
    ids=["older", "oldest"],
)
def test_a_ledger_that_lacks_what_a_neighbour_decided_decides_nothing(loaded: World, restored: str, told: str) -> None:
    """Partition 3 is the neighbour's, who may find out late: both grant from the same pool."""
    loaded.stop_cleanly(loaded.spawn("claims"), "claim", CLAIMS)
    settings, room = loaded.settings, ROOMS["claims"](loaded.settings)
    group, outbox = kafka.group_of("claims"), Outbox(TOPIC, room.key_field)
    positions = Positions(TOPIC, topics.describe(settings, TOPIC).topic_id, "claims-1")
    consumer = Consumer(kafka.consumer_config(settings, group))
    with closing(consumer), connect(settings.postgres, application="claims-1") as connection:
        names = (group, TOPIC, room.event_topic)
        recovery = Recovery(settings, consumer, connection, positions, outbox, *names, 1)
        held, unpublished = recovery.take_over([0])
        assert (list(held), unpublished) == ([0], [])
        loaded.connection.execute(f"{restored} WHERE topic = %s AND partition = 3".encode(), (TOPIC,))
        with pytest.raises(Inconsistent, match=rf"{TOPIC}/3: the group has committed \d+, {told}"):
            recovery.take_over([0])


def test_a_topic_made_anew_under_a_processor_ends_it(loaded: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "TOPIC_SECONDS", 0.2)
    with processor_within(loaded.settings, "claims") as ended:
        loaded.outcomes("claim", CLAIMS)
        broker.remake_topic(loaded.settings, TOPIC)
        with pytest.raises(Inconsistent, match="was made anew"):
            ended.result(WAIT_SECONDS_MAX)

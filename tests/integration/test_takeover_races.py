"""A takeover beside a predecessor that does not know yet what it has lost: what is read before the fence may be old."""

from collections.abc import Callable
from contextlib import closing
from threading import Event
from typing import Any

import pytest

from tests.integration.commands import claim
from tests.integration.reading import Reading
from tests.integration.within import processor_within
from tests.integration.world import World
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.metrics.observer import Observer
from voucher_ledger.run.rooms import ROOMS
from voucher_ledger.runtime import topics
from voucher_ledger.runtime.decider import Decider
from voucher_ledger.runtime.incoming import incoming
from voucher_ledger.runtime.outbox import Outbox
from voucher_ledger.runtime.positions import Position, Positions, connect
from voucher_ledger.runtime.windows import Windows

pytestmark = pytest.mark.integration

TOPIC = "claim.commands"
CLAIMS = 200


@pytest.fixture
def loaded(world: World) -> World:
    """Claims of a campaign in partition 0, not decided yet."""
    world.open_campaign()
    world.send(TOPIC, [claim(number) for number in range(CLAIMS)], partition=0)
    return world


class Predecessor:
    """Decides the first records of partition 0 of a world, and never publishes them."""

    def __init__(self, world: World) -> None:
        settings, room = world.settings, ROOMS["claims"](world.settings)
        self._settings = settings
        self._connection = connect(settings.postgres, application="claims-0")
        self._positions = Positions(TOPIC, topics.describe(settings, TOPIC).topic_id, "claims-0")
        outbox = Outbox(room.command_topic, room.key_field)
        self._decider = Decider(room, self._connection, self._positions, outbox, 10, Windows(), Observer())

    def take_over(self) -> None:
        self._decider.positions = {0: self._positions.raise_epoch(self._connection, 0, 0)}

    def decide(self, count: int) -> None:
        decoder = CommandDecoder(TOPIC)
        found: list[Any] = []
        with closing(Reading(self._settings, [TOPIC])) as commands:
            while len(found) < count:
                found += [record for record in commands.more() if record.partition() == 0]
        self._decider.decide([incoming(record, 0, record.offset() or 0, decoder) for record in found[:count]], {})

    def close(self) -> None:
        self._connection.close()


def run_successor(world: World, answers: int) -> None:
    """A processor, until so many answers are there or it ends by itself."""
    with (
        processor_within(world.settings, "claims", "claims-1") as ended,
        closing(Reading(world.settings, ["claim.events"])) as events,
    ):
        while answers > 0 and not ended.done():
            answers -= len(events.more())
    ended.result()


def before_the_fence(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Let it happen once, when a successor has read all that it reads before it raises the epoch."""
    whole, happened = Positions.raise_epoch, Event()

    def wrapped(*arguments: Any) -> Position:
        if not happened.is_set():
            happened.set()
            happens()
        return whole(*arguments)

    monkeypatch.setattr(Positions, "raise_epoch", wrapped)


def test_the_first_batch_of_a_partition_is_published_though_it_was_decided_after_the_look(
    loaded: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Predecessor(loaded)) as predecessor:

        def decides_its_first() -> None:
            predecessor.take_over()
            predecessor.decide(50)

        before_the_fence(monkeypatch, decides_its_first)
        run_successor(loaded, CLAIMS)
    assert loaded.faults() == []


def test_what_came_and_was_decided_after_the_look_at_the_topics_end_is_no_contradiction(
    loaded: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Predecessor(loaded)) as predecessor:
        predecessor.take_over()

        def decides_more() -> None:
            loaded.send(TOPIC, [claim(number) for number in range(CLAIMS, CLAIMS + 10)], partition=0)
            predecessor.decide(CLAIMS + 10)

        before_the_fence(monkeypatch, decides_more)
        run_successor(loaded, CLAIMS + 10)
    assert loaded.faults() == []

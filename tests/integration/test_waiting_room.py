"""The waiting room on the real broker and Postgres: filled, drained while processors are killed, and closed."""

import threading
from collections import Counter
from typing import Any

import pytest

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import FACE_MINOR, claim, envelope
from tests.integration.world import World
from voucher_ledger.monitor.ledger import LedgerReader
from voucher_ledger.sweeper import run

pytestmark = pytest.mark.integration

PARTITIONS = 8
USERS = 160
CARDS = 5
MORE = 40
APPROVAL = {"approved_by": "finance", "reason": "people wait"}
SMALL_BATCHES = {"VOUCHER_LEDGER_BATCH_RECORDS_MAX": "3"}


class Sweeper:
    """A sweeper in a thread."""

    def __init__(self, world: World) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=run, args=(world.settings, self._stopping))
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(WAIT_SECONDS_MAX)
        assert not self._thread.is_alive()


def change(world: World, verb: str, count: int, **data: Any) -> None:
    """Change the campaign, and wait for its `count`th event."""
    world.send("campaign.commands", [envelope(f"campaign.{verb}", verb, {"campaign_id": "grey", **data, **APPROVAL})])
    process = world.spawn("campaigns")
    world.stop_cleanly(process, "campaign", count)


def new(events: list[dict[str, Any]], type_: str) -> list[dict[str, Any]]:
    return [event["data"] for event in events if event["type"] == type_ and "duplicate" not in event["data"]]


def wait_for(world: World, type_: str, count: int) -> list[dict[str, Any]]:
    """The claims room's events, once so many of this type are among them."""
    known = 0
    while True:
        events = world.outcomes("claim", known)
        if len(new(events, type_)) >= count:
            return events
        known = len(events) + 1


def test_who_waits_is_served_in_turn_while_processors_die_and_told_at_the_end(world: World) -> None:
    """People could only hammer retry: now each is answered once more, when his turn comes or when it can't any more."""
    world.open_campaign(quota=CARDS, budget_minor=100 * FACE_MINOR, when_empty="queue")
    for partition in range(PARTITIONS):
        users = range(partition, USERS, PARTITIONS)
        world.send("claim.commands", [claim(number) for number in users], partition=partition)
    world.stop_cleanly(world.spawn("claims", instance="claims-0"), "claim", USERS)
    events = world.outcomes("claim")
    queued = {data["command_id"]: data for data in new(events, "voucher.queued")}
    assert len(new(events, "voucher.granted")) == CARDS
    assert len(queued) == USERS - CARDS
    place_of = {event["data"]["command_id"]: event["id"].split("/")[1:3] for event in events}
    lines: dict[str, list[str]] = {}
    for command_id in sorted(queued, key=lambda name: int(place_of[name][1])):
        lines.setdefault(place_of[command_id][0], []).append(command_id)
    assert all(
        [queued[name]["queue_position"] for name in line] == [*range(1, len(line) + 1)] for line in lines.values()
    )

    reader = LedgerReader(world.settings)
    shown = reader.read().campaigns["grey"]
    reader.close()
    oldest = world.connection.execute(
        "SELECT extract(epoch FROM min(queued_at))::float8 FROM ledger.waiting"
    ).fetchone()
    assert (shown.waiting, (shown.waiting_since,)) == (USERS - CARDS, oldest)

    change(world, "top_up", 2, quota=MORE, budget_minor=0)
    sweeper = Sweeper(world)
    dying = world.spawn("claims", instance="claims-0", environment=SMALL_BATCHES, window="after_commit", nth="2")
    assert dying.wait(WAIT_SECONDS_MAX) == -9
    sweeper.stop()  # what it has sent is in the topic; another sweeper knows nothing of it
    sweeper = Sweeper(world)
    dying = world.spawn("claims", instance="claims-0", environment=SMALL_BATCHES, window="in_transaction", nth="3")
    assert dying.wait(WAIT_SECONDS_MAX) == -9
    processor = world.spawn("claims", instance="claims-0")
    granted = [data["command_id"] for data in new(wait_for(world, "voucher.granted", CARDS + MORE), "voucher.granted")]
    admitted = [name for name in granted if name in queued]
    assert len(admitted) == len(set(admitted)) == MORE
    for line in lines.values():
        served = [name for name in line if name in set(admitted)]
        assert served == line[: len(served)]  # first come, first served
    counts = Counter(place_of[name][0] for name in admitted)
    # No line is near its end, so each sweeper serves them evenly. The second may send for all that the first has sent
    # for, and which of their commands find a card is chance: no line gets more than both have sent for it.
    assert max(counts.values()) <= 2 * MORE // PARTITIONS

    change(world, "close", 3)
    events = wait_for(world, "voucher.rejected", USERS - CARDS - MORE)
    ended = new(events, "voucher.rejected")
    assert {data["reason"] for data in ended} == {"ended"}
    assert Counter(data["command_id"] for data in ended) == Counter(queued.keys() - set(admitted))
    assert world.connection.execute("SELECT count(*) FROM ledger.waiting").fetchone() == (0,)
    sweeper.stop()
    processor.terminate()
    assert processor.wait(WAIT_SECONDS_MAX) == 0
    assert world.faults() == []

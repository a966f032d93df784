"""An interrupted redrive or copy leaves nothing open: who reads its topics with read_committed goes on at once."""

import time

import pytest
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from tests.integration.tools import Tool
from tests.integration.world import World
from voucher_ledger.replay.windows import ToolWindows
from voucher_ledger.run.exit_codes import INTERRUPTED
from voucher_ledger.runtime import kafka

pytestmark = pytest.mark.integration

WHY = ("--apply", "--reason", "a drill")
# The broker would abort what is left open no sooner than this; the tests wait for less.
BROKER_SECONDS = 60
SETTLED_SECONDS_MAX = 15.0
REDRIVE = ("dead-letters", "redrive")
COPY = ("copy", "--name", "night", "--from-topic", "night.claims", "--to-topic", "rehearsal.claims", "--speed", "0")


@pytest.fixture
def tool(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    made = Tool(world, monkeypatch, capsys)
    monkeypatch.setenv("VOUCHER_LEDGER_TRANSACTION_TIMEOUT_MS", str(BROKER_SECONDS * 1_000))
    return made


def ends(world: World, topic: str, isolation: IsolationLevel) -> dict[int, int]:
    """Where a reader of this isolation stops, by partition."""
    admin = AdminClient(kafka.admin_config(world.settings))
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
    asked = {TopicPartition(topic, number): OffsetSpec.latest() for number in partitions}
    found = admin.list_offsets(asked, isolation_level=isolation)
    return {place.partition: future.result().offset for place, future in found.items()}


def wait_not_held_back(world: World, topic: str) -> None:
    """Wait until read_committed readers come to the end of every partition."""
    deadline = time.monotonic() + SETTLED_SECONDS_MAX
    while True:
        high = ends(world, topic, IsolationLevel.READ_UNCOMMITTED)
        stable = ends(world, topic, IsolationLevel.READ_COMMITTED)
        if stable == high:
            assert sum(high.values()) > 0, "nothing was ever sent"
            return
        assert time.monotonic() < deadline, f"{topic}: readers stop at {stable}, the ends are {high}"


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def interrupted(tool: Tool, *arguments: str) -> None:
    """Run it; Ctrl-C comes when all of the first transaction is sent and nothing is committed."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ToolWindows, "before_commit", interrupt)
        assert "interrupted" in tool.run(*arguments, code=INTERRUPTED)


def test_an_interrupted_redrive_does_not_hold_up_the_processors(world: World, tool: Tool) -> None:
    world.send_raw("claim.commands", [(b"user-000001", b"{}"), (b"user-000002", b"[]")])
    world.spawn("claims")
    world.wait_answered("claim.commands", 2)

    before = ends(world, "claim.commands", IsolationLevel.READ_UNCOMMITTED)
    interrupted(tool, *REDRIVE, *WHY)
    assert ends(world, "claim.commands", IsolationLevel.READ_UNCOMMITTED) != before, "nothing was sent"
    for topic in ("claim.commands", "ledger.dead-letter-marks"):
        wait_not_held_back(world, topic)

    # Nothing of it counts: the same command drives both, once.
    assert tool.json(*REDRIVE, *WHY)["redriven"] == 2
    world.wait_answered("claim.commands", 4)
    assert tool.outcomes() == ["dead-letters redrive: interrupted", "dead-letters redrive: done"]


def test_an_interrupted_copy_does_not_hold_up_who_reads_its_target(world: World, tool: Tool) -> None:
    admin = AdminClient(kafka.admin_config(world.settings))
    for name in ("night.claims", "rehearsal.claims"):
        admin.create_topics([NewTopic(name, 8, 1)], operation_timeout=10)[name].result()
    world.send_raw("night.claims", [(b"user-000001", b"{}"), (b"user-000002", b"[]")])

    interrupted(tool, *COPY, *WHY)
    wait_not_held_back(world, "rehearsal.claims")
    assert world.read("rehearsal.claims") == []
    assert tool.json(*COPY, *WHY)["copied"] == 2

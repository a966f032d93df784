"""The ledger's position and the group's offset moved together: nothing is lost by it, and nothing decided twice."""

import time

import pytest
from confluent_kafka import TopicPartition

from tests.integration import broker
from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.guards import STRUCK_USER
from tests.integration.reading import DEAD_LETTERS
from tests.integration.replay_days import new_database
from tests.integration.tools import KILLED, SHORT_TRANSACTIONS, Tool
from tests.integration.world import World
from voucher_ledger.replay.seek import standing

pytestmark = pytest.mark.integration

CLAIMS = 20
# The struck user's claim lies in the middle of the one partition that is used.
STRUCK = 13
PARTITION = ("seek", "--room", "claims", "--partition", "3")
WHY = ("--apply", "--reason", "kills every processor")


def position(world: World) -> int:
    row = world.connection.execute(
        "SELECT next_offset FROM ledger.position WHERE topic = 'claim.commands' AND partition = 3"
    ).fetchone()
    assert row is not None
    return int(row[0])


def wait_dead(tool: Tool, *arguments: str) -> None:
    """Wait until Kafka has forgotten a killed processor: until then, a seek is refused."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while "somebody may be deciding" in str(tool.json(*arguments, code=None)["refusal"]):
        assert time.monotonic() < deadline


def test_a_poisoned_partition_goes_on_and_the_skipped_record_is_a_dead_letter(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = Tool(world, monkeypatch, capsys)
    assert f"user-{STRUCK:06d}" == STRUCK_USER
    world.send("claim.commands", [claim(number) for number in range(CLAIMS)], partition=3)
    one_by_one = {"VOUCHER_LEDGER_BATCH_RECORDS_MAX": "1", **SHORT_TRANSACTIONS}
    assert world.spawn("claims", fault="poison", environment=one_by_one).wait(WAIT_SECONDS_MAX) == KILLED
    assert position(world) == STRUCK

    # Refused while a processor may live; the dry run names the record, and changes nothing.
    past = (*PARTITION, "--to", str(STRUCK + 1))
    assert "somebody may be deciding claim.commands: group member claims-0" in tool.run(*past, *WHY, code=1)
    wait_dead(tool, *past)
    told = tool.run(*past)
    assert f"offset {STRUCK}: key '{STRUCK_USER}'" in told
    assert "a dry run" in told
    assert "more than --max 1" in tool.run(*PARTITION, "--to", "16", "--max", "1", code=1)
    assert position(world) == STRUCK

    # Killed after COMMIT and before the Kafka transaction: all has happened, and the next run publishes it.
    tool.kill_in("after_commit", 1, *past, *WHY)
    assert position(world) == STRUCK + 1
    assert world.read(DEAD_LETTERS) == []
    assert tool.json(*past, *WHY)["kind"] == "stay"
    (letter,) = world.read(DEAD_LETTERS)
    headers = dict(letter.headers() or [])
    assert headers["dlq_error"] == b"skipped by operator: kills every processor"
    assert (letter.key(), headers["dlq_offset"]) == (STRUCK_USER.encode(), str(STRUCK).encode())
    assert tool.outcomes() == ["seek: failed", "seek: not ended", "seek: done"]

    # As a database restored from a backup: never, also where the last answer came after the first look.
    moved = "UPDATE books.position SET next_offset = %s, epoch = epoch + 1 WHERE partition = 3"
    world.connection.execute(moved, (5,))
    assert "decided is only up to 5" in tool.run(*PARTITION, "--to", "5", *WHY, code=1)
    with monkeypatch.context() as sooner:
        sooner.setattr(standing, "last_answered", lambda *_: -1)
        assert "never seek" in tool.run(*PARTITION, "--to", "5", *WHY, code=1)
    world.connection.execute(moved, (STRUCK + 1,))

    # What is answered is not decided again, be it an event or a dead letter; the processor goes on after it.
    for to in (STRUCK, 0):
        assert f"offset {STRUCK} is answered" in tool.run(*PARTITION, "--to", str(to), *WHY, code=1)
    world.spawn("claims")
    world.wait_answered("claim.commands", CLAIMS)
    assert world.faults() == []
    empty = new_database(world)
    assert "somebody may be deciding: group member claims-0. Stop" in tool.run("rebuild", "--into", empty, code=1)


def test_positions_and_offsets_that_somebody_moved_are_mended(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = Tool(world, monkeypatch, capsys)
    world.send("claim.commands", [claim(number) for number in range(CLAIMS)], partition=3)
    assert world.spawn("claims", window="after_commit").wait(WAIT_SECONDS_MAX) == KILLED
    decided = position(world)  # and nothing of it is published

    # Somebody moves the group's offset: a processor would stop, or lose what is not published.
    broker.move_group_offset(world.settings, "claims", TopicPartition("claim.commands", 3, 1))
    here = (*PARTITION, "--to", str(decided))
    assert tool.json(*here, *WHY)["kind"] == "stay"
    assert len(world.outcomes("claim")) == decided
    assert world.read("ledger.demand")  # published in the transaction of its events, as ever
    world.send("claim.commands", [claim(number) for number in range(CLAIMS, 2 * CLAIMS)], partition=3)

    # Somebody moves the position by hand: those in between were never decided, so it may go back to them.
    ahead = decided + 5
    world.connection.execute(
        "UPDATE books.position SET next_offset = %s, epoch = epoch + 1 WHERE partition = 3", (ahead,)
    )
    refusal = tool.run(*PARTITION, "--to", str(decided - 1), *WHY, code=1)
    assert f"offset {decided - 1} is answered" in refusal
    tool.kill_in("before_commit", 1, *PARTITION, "--to", str(decided), *WHY)
    assert position(world) == ahead
    tool.kill_in("after_commit", 1, *PARTITION, "--to", str(decided), *WHY)
    assert position(world) == decided
    assert tool.json(*PARTITION, "--to", str(decided), *WHY)["kind"] == "stay"
    world.spawn("claims")
    world.wait_answered("claim.commands", 2 * CLAIMS)
    assert world.faults() == []


def test_commands_that_were_deleted_before_they_were_decided_are_passed_as_the_error_says(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = Tool(world, monkeypatch, capsys)
    world.send("claim.commands", [claim(number) for number in range(CLAIMS)], partition=3)
    world.stop_cleanly(world.spawn("claims"), "claim", CLAIMS)
    world.send("claim.commands", [claim(number) for number in range(CLAIMS, CLAIMS + 10)], partition=3)
    low = CLAIMS + 5
    broker.delete_records(world.settings, TopicPartition("claim.commands", 3, low))
    failure = world.failure_of("claims")
    assert f"decided up to {CLAIMS}, the topic holds {low} to {CLAIMS + 10}: commands were deleted" in failure
    assert f"`voucher-ledger replay seek --to {low}`" in failure
    past = (*PARTITION, "--to", str(low))
    wait_dead(tool, *past)
    assert f"the offsets {CLAIMS} to {low - 1}: they were deleted" in tool.run(*past, *WHY)
    world.stop_cleanly(world.spawn("claims"), "claim", CLAIMS + 5)
    assert position(world) == CLAIMS + 10

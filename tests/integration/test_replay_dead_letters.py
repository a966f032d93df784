"""Dead letters driven again: once each, however often the tool is killed, and what is left is left for a reason."""

from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.reading import DEAD_LETTERS
from tests.integration.tools import Tool
from tests.integration.world import World
from voucher_ledger.runtime.kafka import producer_config

pytestmark = pytest.mark.integration

LETTERS = 40
WHY = ("--apply", "--reason", "the deploy of last night")


@pytest.fixture
def tool(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    return Tool(world, monkeypatch, capsys)


def die_of(world: World, fault: str | None, topic: str, count: int) -> None:
    """Let a processor (with a planted fault) answer until `topic` has `count` answers, then stop it."""
    process = world.spawn("claims", fault=fault or "")
    world.wait_answered(topic, count)
    process.terminate()
    assert process.wait(WAIT_SECONDS_MAX) == 0


def redriven(world: World) -> list[Any]:
    """The records of claim.commands that were sent anew."""
    return [record for record in world.read("claim.commands") if "dlq_attempts" in dict(record.headers() or [])]


def test_a_bad_deploy_is_redriven_once_though_the_tool_is_killed_in_its_windows(world: World, tool: Tool) -> None:
    for number in range(LETTERS):
        world.producer.produce(
            "claim.commands", orjson.dumps(claim(number)), f"user-{number:06d}".encode(), headers={"trace": str(number)}
        )
    world.send_raw("claim.commands", [(b"rubbish", b"not JSON")])
    die_of(world, "broken_deploy", "claim.commands", LETTERS + 1)

    listed = tool.json("dead-letters", "list")
    assert listed["count"] == LETTERS + 1
    assert [one["count"] for one in listed["reasons"]] == [LETTERS, 1]

    # Ten letters a transaction; a dry run changes nothing, and needs no reason.
    chosen = ("dead-letters", "redrive", "--error", "decision failed", "--rate", "500")
    assert tool.json(*chosen)["redriven"] == LETTERS
    assert redriven(world) == []
    tool.kill_in("sent", 2, *chosen, *WHY)
    tool.kill_in("committed", 1, *chosen, *WHY)
    assert tool.json(*chosen, *WHY)["redriven"] == LETTERS - 20
    assert tool.json(*chosen, *WHY)["left"] == {"redriven before": LETTERS}
    assert tool.outcomes() == ["dead-letters redrive: not ended"] * 2 + ["dead-letters redrive: done"] * 2

    letters = {(record.key(), record.value()): record for record in world.read(DEAD_LETTERS)}
    again = redriven(world)
    assert len(again) == LETTERS
    for record in again:
        letter = letters[record.key(), record.value()]
        assert record.headers() == letter.headers()  # its own and those of the dead letter, so that tries are counted
        assert record.partition() == int(dict(letter.headers() or [])["dlq_partition"] or -1)

    die_of(world, None, "claim.commands", 2 * LETTERS + 1)
    assert world.faults() == []
    answered = [event["data"]["user_id"] for event in world.outcomes("claim")]
    assert sorted(answered) == [f"user-{number:06d}" for number in range(LETTERS)]


def test_what_is_not_driven_again_and_what_is_edited(world: World, tool: Tool, tmp_path: Path) -> None:
    world.send_raw("claim.commands", [(b"user-000001", b"{}"), (b"user-000002", b"[]"), (b"user-000003", b"no")])
    world.spawn("claims")
    world.wait_answered("claim.commands", 3)
    places = {one["key"]: one["letter"] for one in tool.json("dead-letters", "list")["letters"]}
    assert len(places) == 3

    # Quarantined: left until that is lifted.
    at = ("--at", places["user-000002"])
    assert tool.json("dead-letters", "quarantine", *at, *WHY)["quarantined"] == 1
    assert tool.json("dead-letters", "redrive", *at, *WHY)["left"] == {"quarantined": 1}
    assert tool.json("dead-letters", "list", "--state", "quarantined")["count"] == 1
    assert tool.json("dead-letters", "quarantine", "--lift", *at, *WHY)["released"] == 1

    # An edit is checked against its schema first, and goes out under the key of its own data.
    edit = tmp_path / "edit.json"
    edit.write_bytes(orjson.dumps(claim(1, city_tier=7)))
    at = ("--at", places["user-000001"])
    refusal = tool.run("dead-letters", "redrive", *at, "--edit", str(edit), *WHY, code=1)
    assert "dead-lettered again: data.city_tier" in refusal
    edit.write_bytes(orjson.dumps(claim(4)))
    assert tool.json("dead-letters", "redrive", *at, "--edit", str(edit), *WHY)["redriven"] == 1
    assert [record.key() for record in redriven(world)] == [b"user-000004"]
    shown = tool.json("dead-letters", "show", places["user-000001"])
    assert [(mark["mark"], mark["edited"]) for mark in shown["history"]] == [("redriven", True)]

    # Driven again as they are, two die again with a try more each, and are then left: no loop.
    assert tool.json("dead-letters", "redrive", *WHY)["left"] == {"redriven before": 1}
    world.wait_answered("claim.commands", 6)
    assert sorted(one["attempts"] for one in tool.json("dead-letters", "list")["letters"]) == [1, 1, 1, 2, 2]
    left = tool.json("dead-letters", "redrive", "--attempts-max", "2", *WHY, code=1)["left"]
    assert left == {"redriven before": 3, "died too often": 2}
    assert world.faults() == []

    # Nobody consumed what lies past the topic's end: that letter is driven only where a person names it.
    forged: dict[str, str | bytes | None] = {
        "dlq_topic": "claim.commands",
        "dlq_partition": "0",
        "dlq_offset": "900000",
        "dlq_error": "forged",
    }
    world.producer.produce(DEAD_LETTERS, orjson.dumps(claim(9)), b"user-000009", partition=0, headers=forged)
    world.producer.flush()
    of_a_key = ("dead-letters", "redrive", "--key", "user-000009")
    for arguments in (of_a_key, (*of_a_key, *WHY)):
        assert tool.json(*arguments, code=1)["left"] == {"of a command past its topic's end": 1}
    (named,) = tool.json("dead-letters", "list", "--key", "user-000009")["letters"]
    assert tool.json("dead-letters", "redrive", "--at", named["letter"])["redriven"] == 1

    exported = tmp_path / "letters.ndjson"
    chosen = ("dead-letters", "export", str(exported), "--key", "user-000003", "--reason", "partner X asks")
    tool.run(*chosen)
    assert [orjson.loads(line)["value"] for line in exported.read_bytes().splitlines()] == ["no"] * 2
    # Users' ids went out: the journal tells which ones, to whom and why.
    entry = orjson.loads(tool.run("operations", "--max", "1", "--json"))
    assert (entry["verb"], entry["reason"], entry["outcome"]) == ("dead-letters export", "partner X asks", "done")
    assert (entry["arguments"]["key"], entry["arguments"]["target"]) == ("user-000003", str(exported))
    assert entry["result"] == {"exported": 2}
    assert "choose another name" in tool.run(*chosen, code=1)
    assert len(tool.run("dead-letters", "export", "-", "--max", "1").splitlines()) == 2  # a letter, and that more are


def test_a_record_too_large_for_a_letter_stops_nobody_and_is_not_driven(
    world: World, tool: Tool, tmp_path: Path
) -> None:
    """Random bytes that repeat each 900,000: zstd makes 1 MB of 20, lz4, which looks back 64 KB, makes 20 of them."""
    world.open_campaign()
    process = world.spawn("claims")
    value = Random(1).randbytes(900_000) * 22
    compressed = {"compression_type": "zstd", "message_max_bytes": 100_000_000, "batch_size": 100_000_000}
    producer = Producer(producer_config(world.settings, **compressed))
    producer.produce("claim.commands", value, b"user-000001", partition=3, headers={"trace": "1"})
    assert producer.flush(WAIT_SECONDS_MAX) == 0
    world.send("claim.commands", [claim(number) for number in range(2, 5)], partition=3)
    world.wait_answered("claim.commands", 4)
    assert process.poll() is None
    (letter,) = world.read(DEAD_LETTERS)
    headers = dict(letter.headers() or [])
    assert (letter.key(), letter.value(), headers["trace"]) == (b"user-000001", None, b"1")
    assert (headers["dlq_topic"], headers["dlq_partition"], headers["dlq_offset"]) == (b"claim.commands", b"3", b"0")
    assert b"not repeated here: its value (19,800,000 bytes)" in (headers["dlq_error"] or b"")
    assert world.faults() == []

    # Null is not what the record held: it is not sent in its place, but another value may be.
    driven = ("dead-letters", "redrive", *WHY)
    assert tool.json(*driven, code=1)["left"] == {"not in its letter, which says why (--edit sends another value)": 1}
    at = ("--at", f"{letter.partition()}/{letter.offset()}")
    assert tool.json(*driven, *at, code=1)["redriven"] == 0
    assert redriven(world) == []
    assert "(no value)" in tool.run("dead-letters", "show", at[1])
    edit = tmp_path / "edit.json"
    edit.write_bytes(orjson.dumps(claim(1)))
    assert tool.json(*driven, *at, "--edit", str(edit))["redriven"] == 1
    world.wait_answered("claim.commands", 5)
    assert len(world.outcomes("claim")) == 4
    tool.run("verify")
    tool.run("verify", "--seals")
    assert world.faults() == []

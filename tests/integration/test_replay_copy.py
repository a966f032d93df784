"""A range of topics copied: each record once though the tool is killed, in order, and never into the live books."""

from pathlib import Path

import orjson
import pytest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient, NewTopic

from tests.integration.commands import campaign_open, claim, reserve
from tests.integration.tools import Tool
from tests.integration.world import World
from voucher_ledger.runtime import kafka

pytestmark = pytest.mark.integration

CLAIMS = 60
APART_MS = 1_000
FIRST_MS = 1_770_336_000_000
WHY = ("--apply", "--reason", "the load of last night")


@pytest.fixture
def tool(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    return Tool(world, monkeypatch, capsys)


def make_topic(world: World, name: str, **config: str) -> None:
    admin = AdminClient(kafka.admin_config(world.settings))
    admin.create_topics([NewTopic(name, 8, 1, config=config)], operation_timeout=10)[name].result()


def by_partition(records: list[Message]) -> dict[int, list[Message]]:
    found: dict[int, list[Message]] = {}
    for record in records:
        found.setdefault(int(record.partition() or 0), []).append(record)
    return found


def test_a_copy_is_one_copy_in_order_and_time_though_the_tool_is_killed(
    world: World, tool: Tool, tmp_path: Path
) -> None:
    make_topic(world, "night.claims", **{"message.timestamp.type": "CreateTime"})
    make_topic(world, "rehearsal.claims", **{"message.timestamp.type": "CreateTime"})
    for number in range(CLAIMS):
        value = orjson.dumps(claim(number)) if number else b"rubbish of user-000000"
        world.producer.produce(
            "night.claims", value, f"user-{number:06d}".encode(), headers={"trace": str(number)},
            timestamp=FIRST_MS + number * APART_MS,
        )  # fmt: skip
    assert world.producer.flush(30) == 0
    key = tmp_path / "key"
    key.write_bytes(b"0123456789abcdef")
    copy = (
        "copy", "--name", "night", "--from-topic", "night.claims", "--to-topic", "rehearsal.claims",
        "--speed", "100", "--pseudonyms", str(key),
    )  # fmt: skip
    foreseen = tool.json(*copy)
    assert foreseen.pop("target_cluster")
    assert foreseen == {
        "applied": False, "records_max": CLAIMS, "by_topic": {"night.claims": CLAIMS},
        "original_seconds": CLAIMS - 1, "copy_seconds": (CLAIMS - 1) / 100,
    }  # fmt: skip

    tool.kill_in("committed", 1, *copy, "--max", "20", *WHY)
    tool.kill_in("before_commit", 1, *copy, *WHY)
    some = len(world.read("rehearsal.claims"))  # what the first run committed: the second has settled that
    assert 1 <= some <= 20
    assert tool.json(*copy, *WHY)["copied"] == CLAIMS - some
    assert tool.json(*copy, *WHY)["copied"] == 0
    assert tool.json(*copy)["records_max"] == 0

    originals, copies = by_partition(world.read("night.claims")), by_partition(world.read("rehearsal.claims"))
    assert {p: [r.timestamp() for r in found] for p, found in copies.items()} == {
        p: [r.timestamp() for r in found] for p, found in originals.items()
    }
    names: dict[bytes, bytes] = {}
    for partition, found in originals.items():
        for original, copied in zip(found, copies[partition], strict=True):
            place = f"night.claims/{partition}/{original.offset()}".encode()
            assert copied.headers() == [
                *(original.headers() or []), ("rehearsal", b"night"), ("rehearsal_source", place)
            ]  # fmt: skip
            names[bytes(original.key() or b"")] = bytes(copied.key() or b"")
            if original.value() == b"rubbish of user-000000":
                assert copied.value() == b"x" * len(original.value() or b"")
                continue
            document = orjson.loads(copied.value() or b"")
            assert document.pop("rehearsal") == "night"
            assert document["data"].pop("user_id").encode() == copied.key()
            expected = orjson.loads(original.value() or b"")
            del expected["data"]["user_id"]
            assert document == expected
    assert len(set(names.values())) == CLAIMS
    assert not set(names) & set(names.values())
    assert tool.outcomes() == ["copy: not ended"] * 2 + ["copy: done"] * 2

    # An earlier range under a name that has copies of a later one: nothing of it would be copied.
    part = ("copy", "--name", "part", *copy[3:])
    assert tool.json(*part, "--from", "3", "--to", "5", *WHY)["copied"] > 0
    for arguments in ((*part, "--from", "0", "--to", "3"), (*part, "--from", "0", "--to", "3", *WHY)):
        assert "Give this range another --name" in tool.run(*arguments, code=1)


def test_a_rehearsal_beside_the_live_campaign_does_not_touch_its_books(world: World, tool: Tool) -> None:
    def pairs(*topics: str) -> list[str]:
        return [part for topic in topics for part in ("--from-topic", topic, "--to-topic", topic)]

    world.send("campaign.commands", [campaign_open(quota=CLAIMS)])
    world.spawn("campaigns")
    world.wait_answered("campaign.commands", 1)
    world.send("claim.commands", [claim(number) for number in range(CLAIMS)])
    world.spawn("claims")
    granted = [event["data"] for event in world.outcomes("claim", CLAIMS)]
    world.send("order.commands", [reserve(f"order-{n}", voucher) for n, voucher in enumerate(granted[:20])])
    world.spawn("orders")
    world.wait_answered("order.commands", 20)
    before = world.balances()
    held = world.connection.execute("SELECT * FROM ledger.voucher ORDER BY voucher_id").fetchall()
    assert before["held", "VOUCHER"] == 20

    # Refused without a prefix, by whatever name the cluster is called, and into what a ledger itself has said.
    copy = ("copy", "--name", "again", "--speed", "0", *WHY)
    called = ("--to-kafka", world.settings.kafka.replace("127.0.0.1", "localhost"))
    assert "decided into the live books" in tool.run(*copy, *pairs("claim.commands"), *called, code=1)
    assert "written by a ledger's own" in tool.run(*copy, *pairs("claim.events"), code=1)

    prefixed = (*copy, "--campaign-prefix", "again-")
    assert tool.json(*prefixed, *pairs("campaign.commands"))["copied"] == 1
    world.wait_answered("campaign.commands", 2)
    both = (*prefixed, *pairs("claim.commands", "order.commands"))
    assert tool.json(*both, "--max", str(CLAIMS))["copied"] == CLAIMS  # the claims; the orders by a second run
    world.wait_answered("claim.commands", 2 * CLAIMS)
    left = tool.json(*both)
    assert (left["copied"], left["left_out"]) == (20, CLAIMS)  # its own copies are not copied again
    world.wait_answered("order.commands", 40)

    assert world.balances() == before
    rehearsed = world.balances("again-grey")
    assert (rehearsed["held", "VOUCHER"], rehearsed["granted", "VOUCHER"]) == (20, CLAIMS - 20)
    names = [row[0] for row in world.connection.execute("SELECT order_id FROM ledger.reservation").fetchall()]
    assert sorted(names) == sorted(f"{prefix}order-{n}" for prefix in ("", "again-") for n in range(20))
    now = world.connection.execute("SELECT * FROM ledger.voucher ORDER BY voucher_id").fetchall()
    assert [row for row in now if row in held] == held
    assert world.faults() == []

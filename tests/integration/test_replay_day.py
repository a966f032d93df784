"""The replay tools that prove: on the real broker and database a day with a kill is equal, what is tampered with is
named, one voucher's chain is told, and the ledger can be made anew for processors to go on from.
"""

from collections.abc import Sequence
from threading import Event

import orjson
import pytest
from confluent_kafka import Message, TopicPartition

from tests.integration.broker import move_group_offset
from tests.integration.commands import campaign_open, claim
from tests.integration.replay_days import (
    WHY,
    Program,
    journal,
    new_database,
    one,
    play_a_day_with_a_kill,
    rewrite_topic,
    stop_all,
    tampered_copy,
)
from tests.integration.world import World
from voucher_ledger.replay import rebuild
from voucher_ledger.replay.verify import verify
from voucher_ledger.replay.verify_report import VerifyReport
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import postgres

pytestmark = pytest.mark.integration


@pytest.fixture
def program(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(world, monkeypatch, capsys)


def named(report: VerifyReport) -> dict[str, list[str]]:
    """The keys that differ, by kind of row."""
    return {name: [d.key for d in kind.shown] for name, kind in report.kinds.items() if kind.count}


@pytest.mark.timeout(400)
def test_a_day_with_a_kill_is_proven_traced_and_rebuilt_and_what_is_tampered_with_is_named(
    world: World, program: Program
) -> None:
    play_a_day_with_a_kill(world)
    _equal_beside_live_processors(world, program)
    _a_voucher_is_traced(world, program)
    stop_all(world)
    world.connection.close()  # a database is copied only while nobody is connected to it
    _each_tampered_row_is_named(world)
    _rebuilt_and_gone_on_from(world, program)
    _a_tampered_topic_is_named_and_not_rebuilt_from(world, program)
    world.connection = postgres.connect(world.settings.postgres, application="test")


def _equal_beside_live_processors(world: World, program: Program) -> None:
    told = program.json("verify")
    assert told["passed"]
    vouchers = one(world.settings.postgres, "SELECT count(*) FROM books.voucher")
    assert told["ledger"]["voucher"] == {"compared": vouchers, "differing": 0, "shown": []}
    assert sum(told["positions"].values()) == sum(told["commands_answered"].values())
    assert sum(told["dead_letters"].values()) > 0
    assert "equal" in program.run("verify", "--campaign", "day")[0]
    assert (
        "not compared"
        in program.run("verify", "--partitions", "0,2-7", "--from", "3", "--to", "2100-01-01T00:00:00Z")[0]
    )


def _a_voucher_is_traced(world: World, program: Program) -> None:
    dsn = world.settings.postgres
    order = one(dsn, "SELECT min(order_id) FROM books.refund WHERE discount_returned_minor > 0")
    voucher, user = (
        one(dsn, f"SELECT {name} FROM books.reservation WHERE order_id = '{order}'")
        for name in ("voucher_id", "user_id")
    )
    told = program.json("trace", voucher)
    transfers = one(dsn, f"SELECT count(*) FROM books.transfer WHERE voucher_id = '{voucher}'")
    assert sum(len(step["transfers"]) for step in told["steps"]) == transfers
    types = [(step["command"]["type"], step["event"]["type"]) for step in told["steps"]]
    assert types[:3] == [
        ("voucher.claim", "voucher.granted"),
        ("order.reserve", "order.reserved"),
        ("payment.settle", "payment.settled"),
    ]
    assert ("payment.refund", "payment.refunded") in types
    for step in told["steps"]:
        assert step["event"]["id"] == f"{step['cause']}/0"
        assert step["command"]["id"] == step["event"]["data"]["command_id"]
        assert step["published_at"] >= step["command_time"]
        assert step["notes"] == []
    # Refused and repeated claims moved nothing: only a scan finds them.
    scanned = program.json("trace", user, "--scan")
    assert [step["cause"] for step in told["steps"]] == [s["cause"] for s in scanned["steps"] if s["transfers"]]
    # One that was not the first of its batch: a draw has that for its cause, whatever became of it.
    moved = "SELECT count(*) FROM books.transfer WHERE concat_ws('/', cause_topic, cause_partition, cause_offset, 0)"
    refused = next(
        event
        for event in world.outcomes("claim")
        if event["type"] == "voucher.rejected" and one(dsn, f"{moved} = '{event['id']}'") == 0
    )
    (step,) = program.json("trace", refused["id"])["steps"]
    assert (step["event"]["type"], step["transfers"]) == ("voucher.rejected", [])
    assert "order.reserve" in program.run("trace", order, "--max", "2")[0]
    assert "no voucher, order or user 'nobody'" in program.run("trace", "nobody", code=ExitCode.CHECK_FAILED)[1]


def _each_tampered_row_is_named(world: World) -> None:
    dsn = world.settings.postgres
    voucher = one(dsn, "SELECT min(voucher_id) FROM books.voucher WHERE state = 'spent'")
    order = one(dsn, "SELECT min(order_id) FROM books.reservation WHERE state = 'cancelled'")
    payment = one(dsn, "SELECT min(payment_id) FROM books.payment WHERE refunded_minor = 0")
    tampered = tampered_copy(
        world,
        f"UPDATE books.voucher SET state = 'granted' WHERE voucher_id = '{voucher}'",
        f"DELETE FROM books.reservation WHERE order_id = '{order}'",
        f"UPDATE books.payment SET paid_minor = paid_minor + 1 WHERE payment_id = '{payment}'",
        "UPDATE books.account SET amount_minor = amount_minor + 1 WHERE campaign_id = 'day' AND role = 'pool'",
        "UPDATE books.campaign SET quota = quota + 1 WHERE campaign_id = 'day'",
        "INSERT INTO books.refund VALUES ('forged', 'p', 'o', 'u', 1, NULL, 0, false)",
        "UPDATE books.category_budget SET committed_minor = committed_minor + 1 WHERE campaign_id = 'day' "
        "AND category = (SELECT min(category) FROM books.category_budget WHERE campaign_id = 'day')",
        "UPDATE books.position SET decided = decided + 1 WHERE topic = 'order.commands' AND partition = 3",
    )
    report = verify(world.settings.model_copy(update={"postgres": tampered}), Event())
    found = named(report)
    assert found.pop("category_budget")[0].startswith("day/")
    assert found == {
        "voucher": [voucher],
        "reservation": [order],
        "payment": [payment],
        "refund": ["forged"],
        "campaign": ["day"],
        "balance": ["day/pool+lease+loss"],
    }
    assert report.kinds["voucher"].shown[0].columns == {"state": ("spent", "granted")}
    (fault,) = report.answers.faults
    assert fault.startswith("order.commands/3: the position tells of")
    assert (report.contradiction_count, report.passed) == (0, False)


def _rebuilt_and_gone_on_from(world: World, program: Program) -> None:
    target = new_database(world)
    assert "nothing was written" in program.run("rebuild", "--into", target)[0]
    _not_rebuilt_while_offsets_move_on(world, program, target)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rebuild, "table_hashes", lambda _connection: 1 // 0)  # what ends it at the last moment
        with pytest.raises(ZeroDivisionError):
            program.run("rebuild", "--into", target, *WHY)
    for table in ("campaign", "voucher", "transfer", "position"):
        assert one(target, f"SELECT count(*) FROM books.{table}") == 0, table
    # Which of his vouchers is a user's first is not told by events where his claims came by two partitions.
    renumber = "UPDATE books.voucher SET ordinal = ordinal + %s"
    with postgres.connect(world.settings.postgres, application="test") as connection:
        connection.execute(renumber, (1_000,))
    told = program.json("rebuild", "--into", target, *WHY, "--compare", "--rate", "50000")
    with postgres.connect(world.settings.postgres, application="test") as connection:
        connection.execute(renumber, (-1_000,))
    # Its journal tells of those that came to nothing too, refused or ended by a fault; and what was asked.
    operations = journal(target)
    assert [outcome for outcome, _, _ in operations] == ["failed", "failed", "done"]
    assert "the group has committed" in operations[0][1]
    assert operations[2][2] == {"apply": True, "compare": True, "reason": "lost", "rate": 50_000.0, "as_json": True}
    assert told["hashes"] == told["original_hashes"]
    assert set(told["hashes"]) >= {"voucher", "reservation", "payment", "refund", "campaign", "transfer", "account"}
    assert "into an empty database only" in program.run("rebuild", "--into", target, *WHY, code=1)[1]
    # Processors go on from it, on their own topics and offsets.
    moved = World(
        world.settings.model_copy(update={"postgres": target}),
        postgres.connect(target, application="test"),
        world.producer,
    )
    world.children = moved.children
    before = len(world.read("claim.events"))
    moved.send("campaign.commands", [campaign_open("after", quota=20)])
    process = moved.spawn("campaigns")
    while not moved.connection.execute(
        "SELECT 1 FROM books.campaign, pg_sleep(0.05) WHERE campaign_id = 'after'"
    ).fetchall():
        assert process.poll() is None, "the campaigns' processor ended"
    moved.send("claim.commands", [claim(number, "after") for number in range(30)])
    moved.send("claim.commands", [claim(number, "day") for number in range(30)])
    moved.spawn("claims")
    world.read("claim.events", before + 60)
    stop_all(moved)
    assert moved.faults() == []
    assert verify(moved.settings, Event()).passed
    moved.connection.close()
    world.settings = moved.settings  # the world has gone on with it


def _not_rebuilt_while_offsets_move_on(world: World, program: Program, target: str) -> None:
    """The groups' offsets are what processors go on from, so they must be where the events end."""
    partition, end = one(
        world.settings.postgres,
        # The fullest: how many commands each has depends on how fast the day was played.
        "SELECT ARRAY[partition, next_offset] FROM books.position WHERE topic = 'order.commands' "
        "ORDER BY next_offset DESC LIMIT 1",
    )
    move_group_offset(world.settings, "orders", TopicPartition("order.commands", partition, end - 1))
    refused = program.run("rebuild", "--into", target, *WHY, code=1)[1]
    assert f"order.commands/{partition}: the events end at {end}, the group has committed {end - 1}" in refused
    move_group_offset(world.settings, "orders", TopicPartition("order.commands", partition, end))


def _a_tampered_topic_is_named_and_not_rebuilt_from(world: World, program: Program) -> None:
    """The topic of the orders' events made anew with one event missing, one twice, and one of another content."""
    names: dict[str, str] = {}

    def change(records: Sequence[Message]) -> list[tuple[int, bytes, bytes]]:
        rows: list[tuple[int, bytes, bytes]] = []
        for record in records:
            event = orjson.loads(record.value() or b"")
            row = (int(record.partition() or 0), record.key() or b"", record.value() or b"")
            if "missing" not in names and event["type"] == "order.reserved" and event["data"]["order_id"] in cancelled:
                names["missing"], names["order"] = event["id"], event["data"]["order_id"]
                continue
            rows.append(row)
            if event["type"] == "order.reserved" and "changed" in names and "twice" not in names:
                names["twice"] = event["id"]
                rows.append(row)
            elif event["type"] == "order.reserved" and "changed" not in names:
                names["changed"] = event["data"]["order_id"]
                event["data"]["amount_minor"] += 1
                rows[-1] = (row[0], row[1], orjson.dumps(event))
        return rows

    cancelled = {e["data"]["order_id"] for e in world.outcomes("order") if e["type"] == "order.cancelled"}
    rewrite_topic(world, "order.events", change)
    report = verify(world.settings, Event())
    assert report.answers.fault_count == 2
    said = " ".join(report.answers.faults)
    assert f"answers {names['twice'].removesuffix('/0')} once more" in said
    topic, partition, offset, _ = names["missing"].split("/")
    assert f"{topic}/{partition}: 1 command not answered: {offset}" in said
    assert sorted(named(report)["reservation"]) == sorted([names["order"], names["changed"]])
    amounts = {d.key: d.columns for d in report.kinds["reservation"].shown}[names["changed"]]
    assert set(amounts) == {"amount_minor"}
    assert any(f"order {names['order']} was never reserved" in fault for fault in report.contradictions)
    target = new_database(world)
    assert "the events are not whole (2 faults)" in program.run("rebuild", "--into", target, *WHY, code=1)[1]
    assert one(target, "SELECT count(*) FROM books.campaign") == 0
    assert ["not whole (2 faults)" in error for _, error, _ in journal(target)] == [True]

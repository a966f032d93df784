"""Seals on the real broker and database: a chain through kills and takeovers, and what is tampered with is named."""

from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import Any

import orjson
import psycopg
import pytest
from confluent_kafka import Message, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.reading import DEAD_LETTERS
from tests.integration.replay_days import rewrite_topic, tampered_copy
from tests.integration.tools import KILLED, Tool
from tests.integration.world import World
from voucher_ledger.replay.seals import unsealed
from voucher_ledger.replay.seals.report import Fault, SealsReport
from voucher_ledger.replay.seals.verify import verify_seals
from voucher_ledger.runtime import kafka, postgres, topics

pytestmark = pytest.mark.integration

CLAIMS = 600
SMALL = {"VOUCHER_LEDGER_BATCH_RECORDS_MAX": "100"}
CHAIN = "topic = 'claim.commands' AND partition = 3"
Rows = list[tuple[int, bytes, bytes]]


@pytest.fixture
def tool(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    return Tool(world, monkeypatch, capsys)


@pytest.fixture
def day(world: World) -> World:
    """Claims and rubbish in one partition, decided by three processors after one another, two of them killed."""
    world.open_campaign()
    world.send("claim.commands", [claim(number) for number in range(CLAIMS)], partition=3)
    world.send_raw("claim.commands", [(b"u", b"rubbish"), (None, None), (b"", b"")], partition=3)
    for instance, window in (("claims-0", "after_commit"), ("claims-1", "in_transaction")):
        killed = world.spawn("claims", instance=instance, window=window, nth="2", environment=SMALL)
        assert killed.wait(WAIT_SECONDS_MAX) == KILLED
    last = world.spawn("claims", instance="claims-0", environment=SMALL)
    world.wait_answered("claim.commands", CLAIMS + 3)
    last.terminate()
    assert last.wait(WAIT_SECONDS_MAX) == 0
    return world


def said(report: SealsReport) -> dict[Fault, list[str]]:
    assert report.counts.total() == sum(len(texts) for texts in report.shown.values())
    return report.shown


def chain_length(world: World) -> int:
    row = world.connection.execute(f"SELECT max(number) FROM books.seal WHERE {CHAIN}".encode()).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.timeout(300)
def test_a_chain_through_kills_is_whole_and_what_is_tampered_with_is_named(
    day: World, tool: Tool, tmp_path: Path
) -> None:
    kept = tmp_path / "heads.json"
    assert "fingerprint of all of them: " in tool.run("seal", "--out", str(kept))
    assert "was not written" in tool.run("seal", "--out", str(kept), code=1)
    assert tool.json("seal")["fingerprint"] == orjson.loads(kept.read_bytes())["fingerprint"]
    told = tool.json("verify", "--seals", "--heads", str(kept))
    assert told["passed"]
    assert told["verified"] == {"events": CLAIMS + 1, "dead letters": 3}
    assert told["seals"] >= CLAIMS // 100
    assert (told["heads_kept"], told["heads_found"]) == (2, 2)

    # The day goes on; what was kept stays on the chain.
    day.send("claim.commands", [claim(number) for number in range(CLAIMS, 2 * CLAIMS)])
    day.spawn("claims")
    day.wait_answered("claim.commands", 2 * CLAIMS + 3)
    assert "as sealed" in tool.run("verify", "--seals", "--heads", str(kept))
    assert "as sealed" in tool.run("verify", "--seals", "--partitions", "3", "--heads", str(kept))
    day.children[-1].terminate()
    assert day.children[-1].wait(WAIT_SECONDS_MAX) == 0

    _tampered_seals_are_named(day, tool, kept)
    _tampered_events_are_named(day, tool)
    _tampered_dead_letters_are_named(day)


def _tampered_seals_are_named(world: World, tool: Tool, kept: Path) -> None:
    last = chain_length(world)
    world.connection.close()  # a database is copied only while nobody is connected to it
    planted = {
        f"UPDATE books.seal SET events_sha256 = sha256('x') WHERE {CHAIN} AND number = 2": "seal 2 ",
        f"""UPDATE books.seal SET letters_sha256 = sha256('x') WHERE {CHAIN}
            AND number = (SELECT min(number) FROM books.seal WHERE {CHAIN} AND dead_letters > 0)""": "was changed",
        f"DELETE FROM books.seal WHERE {CHAIN} AND number = 3": "seals 3 to 3 are missing",
        f"DELETE FROM books.seal WHERE {CHAIN} AND number = {last}": f"with seal {last - 1}, decided is up to",
    }
    for statement, named in planted.items():
        settings = world.settings.model_copy(update={"postgres": tampered_copy(world, statement)})
        faults = verify_seals(settings, Event()).shown[Fault.CHAIN]
        assert any(named in fault and fault.startswith("claim.commands/3") for fault in faults), faults
    _rewritten_whole(world, tool, kept)
    world.connection = postgres.connect(world.settings.postgres, application="test")


def _rewritten_whole(world: World, tool: Tool, kept: Path) -> None:
    """Somebody changes a seal and links all after it anew: the chain fits itself. Heads were kept elsewhere."""
    dsn = tampered_copy(world, f"UPDATE books.seal SET sealed_at_ms = sealed_at_ms + 1 WHERE {CHAIN} AND number = 2")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for (number,) in connection.execute(f"SELECT number FROM books.seal WHERE {CHAIN} AND number > 1 ORDER BY 1"):
            connection.execute(
                f"""UPDATE books.seal s SET seal = books.seal_of(former.seal, s) FROM books.seal former
                WHERE s.{CHAIN.replace("AND ", "AND s.")} AND s.number = %s
                  AND former.topic = s.topic AND former.partition = s.partition AND former.number = s.number - 1""",
                (number,),
            )
    settings = world.settings.model_copy(update={"postgres": dsn})
    assert verify_seals(settings, Event()).passed
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setenv("VOUCHER_LEDGER_POSTGRES", dsn)
        told = tool.json("verify", "--seals", "--heads", str(kept), code=1)
    assert told["faults"]["head"]["count"] == 1
    assert "claim.commands/3 seal " in told["faults"]["head"]["shown"][0]


def _tampered_events_are_named(world: World, tool: Tool) -> None:
    """The topic made anew with one event changed, one dropped, one twice, two swapped, and one with another key."""
    ids: dict[str, str] = {}

    def change(records: Sequence[Message]) -> Rows:
        rows: Rows = [(int(r.partition() or 0), r.key() or b"", r.value() or b"") for r in records]
        mine = [place for place, row in enumerate(rows) if row[0] == 3]
        names = {place: orjson.loads(rows[place][2])["id"] for place in mine}
        changed, dropped, twice, one, other, keyed = (mine[place] for place in (10, 150, 250, 300, 450, 500))
        ids.update(changed=names[changed], dropped=names[dropped], twice=names[twice], keyed=names[keyed])
        ids.update(one=names[one].removesuffix("/0"), other=names[other].removesuffix("/0"))
        event = orjson.loads(rows[changed][2])
        event["data"]["face_value_minor"] = 9_999
        rows[changed] = (3, rows[changed][1], orjson.dumps(event))
        rows[keyed] = (3, b"thief", rows[keyed][2])
        rows[one], rows[other] = rows[other], rows[one]
        rows.insert(twice + 1, rows[twice])
        del rows[dropped]
        return rows

    rewrite_topic(world, "claim.events", change)
    report = verify_seals(world.settings, Event())
    faults = said(report)
    assert set(faults) == {Fault.CHANGED, Fault.MISSING, Fault.ADDED, Fault.MOVED}
    assert [ids["changed"] in text or ids["keyed"] in text for text in faults[Fault.CHANGED]] == [True, True]
    assert all(text.startswith("claim.events/3/") for text in faults[Fault.CHANGED])
    assert faults[Fault.MISSING] == [f"claim.commands/3: event {ids['dropped']}: missing"]
    (added,) = faults[Fault.ADDED]
    assert added.startswith("claim.events/3/")
    assert f"answers {ids['twice'].removesuffix('/0')} " in added
    assert ids["one"] in " ".join(faults[Fault.MOVED])
    assert ids["other"] in " ".join(faults[Fault.MOVED])
    printed = tool.run("verify", "--seals", code=1)
    assert "not as sealed" in printed
    assert ids["dropped"] in printed


def _tampered_dead_letters_are_named(world: World) -> None:
    letters = world.read(DEAD_LETTERS)
    admin = AdminClient(kafka.admin_config(world.settings))
    for future in admin.delete_topics([DEAD_LETTERS], operation_timeout=WAIT_SECONDS_MAX).values():
        future.result()
    topics.ensure_topics(world.settings)
    for place, letter in enumerate(letters[1:]):
        headers: Any = list(letter.headers() or [])
        value = b"other rubbish" if place == 0 else letter.value()
        world.producer.produce(DEAD_LETTERS, value, letter.key(), int(letter.partition() or 0), headers=headers)
    assert world.producer.flush(WAIT_SECONDS_MAX) == 0
    faults = said(verify_seals(world.settings, Event(), partitions=frozenset([3])))
    assert f"dead letter of claim.commands/3/{CLAIMS + 1}: was changed" in faults[Fault.CHANGED][-1]
    assert f"claim.commands/3: dead letter of claim.commands/3/{CLAIMS}: missing" in faults[Fault.MISSING]


def test_deleted_records_are_told_by_number_and_an_older_ledger_begins_its_chain(
    day: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = AdminClient(kafka.admin_config(day.settings))
    for future in admin.delete_records([TopicPartition("claim.events", 3, 200)]).values():
        future.result()
    report = verify_seals(day.settings, Event())
    assert report.passed, report.shown
    assert report.deleted["events"] > 0
    verified = report.verified + report.verified_by_checks
    assert report.deleted["events"] + verified["events"] == CLAIMS + 1

    # As in a ledger that was migrated a moment ago.
    monkeypatch.setattr(unsealed, "CLOCKS_APART_MS_MAX", 3_600_000)
    with day.connection.transaction():
        day.connection.execute("SET LOCAL session_replication_role = replica")
        day.connection.execute(f"DELETE FROM books.seal WHERE {CHAIN}".encode())
    report = verify_seals(day.settings, Event())
    assert report.passed, report.shown
    text = f"claim.commands/3 has no seal yet: {report.unsealed} events and dead letters there are not sealed"
    assert any(text in note for note in report.notes), report.notes
    # As in one that sealed for long: whatever nobody sealed since was sealed.
    monkeypatch.setattr(unsealed, "CLOCKS_APART_MS_MAX", 0)
    report = verify_seals(day.settings, Event())
    (fault,) = said(report)[Fault.CHAIN]
    assert fault.startswith(f"claim.commands/3: all seals, of {report.unsealed} events and dead letters, are missing: ")

    # As a ledger from before there were seals: what it decided is not sealed, what it decides from now on is.
    with day.connection.transaction():
        day.connection.execute("SET LOCAL session_replication_role = replica")
        day.connection.execute("DELETE FROM books.seal")
    report = verify_seals(day.settings, Event())
    assert report.passed
    assert any("claim.commands/3 has no seal yet" in note for note in report.notes)
    before = len(day.read("claim.events"))
    day.send("claim.commands", [claim(number) for number in range(CLAIMS, CLAIMS + 50)], partition=3)
    day.spawn("claims")
    day.read("claim.events", before + 50)
    report = verify_seals(day.settings, Event())
    assert report.passed, report.shown
    assert report.verified["events"] == 50
    assert report.unsealed > 0

"""The fold of `replay verify` against what the rooms wrote: equal for any story, and unequal without any one event.
Rebuilt from the events, it is the same ledger.
"""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import groupby
from threading import Event

import orjson
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property import test_waiting_room
from tests.property.by_hand import step
from tests.property.deciding import Ledger, Step, item_of
from tests.property.lagging import lagging
from tests.property.stacks import Told, stacks
from tests.property.stories import Story, stories
from tests.property.test_one_decider import STEADY
from voucher_ledger.core.records import Command
from voucher_ledger.replay import rebuild
from voucher_ledger.replay.answers import Answers, AnswersReport, Cause
from voucher_ledger.replay.clock_order import cause_of
from voucher_ledger.replay.compare import compare_all
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.events_aside import EventsAside
from voucher_ledger.replay.fold import is_effective
from voucher_ledger.replay.ledger_rows import snapshot
from voucher_ledger.replay.operations import Operation, ReasonMissing, finish
from voucher_ledger.replay.rebuild_seals import SealsAside
from voucher_ledger.replay.rebuild_source import Source, SourcePosition
from voucher_ledger.replay.rebuild_target import begun
from voucher_ledger.replay.rebuild_totals import losses, totals
from voucher_ledger.replay.rows import TABLES
from voucher_ledger.replay.spill import Spill
from voucher_ledger.replay.table_hash import HASHED, table_hashes
from voucher_ledger.replay.verify_report import VerifyReport
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.settings import Settings

pytestmark = pytest.mark.integration

# A user's claims come by several partitions in a story, some at the same moment: which was first, no event tells then.
COMPARED = {**HASHED, "voucher": HASHED["voucher"].replace("shard", "shard,ordinal")}


def by_one_partition(story: Story) -> Story:
    """The story with its campaigns' commands in one partition, as they come from one producer."""
    told: Story = []
    offset = 0
    for batch in story:
        if batch[0].room == "campaigns":
            told.append([replace(taken, partition=0, offset=offset + place) for place, taken in enumerate(batch)])
            offset += len(batch)
        else:
            told.append(batch)
    return told


def compared(ledger: Ledger, events: list[bytes], campaign_id: str | None = None) -> VerifyReport:
    """Events, in any order of the users', beside the ledger as it is."""
    report = VerifyReport(AnswersReport(), {})
    with Spill(3) as spill, snapshot(ledger.connection, campaign_id) as books:
        for table in TABLES:
            for line in books.lines(table):
                spill.add(line.partition(b"\t")[0], table.name, line)
        aside = EventsAside(spill, campaign_id)
        for value in events:
            aside.take(orjson.loads(value), value)
        compare_all(report, aside, spill, books.figures())
    return report


def faults(report: VerifyReport) -> list[object]:
    return [*report.contradictions, *((name, kind.shown) for name, kind in report.kinds.items() if kind.count)]


@given(story=stories(), data=st.data())
@settings(STEADY, max_examples=12)
def test_the_fold_of_the_events_is_the_ledger_and_no_event_can_be_spared(
    ledger: Ledger, story: Story, data: st.DataObject
) -> None:
    events = ledger.begin().play(by_one_partition(story))
    # Users' events by any partition, read in any order: campaigns' alone keep theirs.
    of_users = [event for event in events if is_effective(orjson.loads(event)) and b'.rejected"' not in event]
    others = [event for event in events if event not in of_users]
    shuffled = others + data.draw(st.permutations(of_users))
    assert faults(compared(ledger, shuffled)) == []
    assert faults(compared(ledger, shuffled, "spring-1")) == []
    if of_users:
        shuffled.remove(data.draw(st.sampled_from(of_users)))
        assert faults(compared(ledger, shuffled)) != []


@pytest.fixture(scope="module")
def rebuilt(ledger: Ledger) -> Iterator[Ledger]:
    """Another database of the same server."""
    with closing(ledger.beside("rebuilt")) as made:
        yield made


def source_of(spill: Spill, events: list[bytes], steps: list[Step]) -> Source:
    """What read_source would have read of these events and their commands."""
    source = Source(EventsAside(spill), SealsAside(spill), Answers({}), {}, {})
    for value in events:
        event = orjson.loads(value)
        source.events.take(event, value)
        cause = cause_of(event)
        source.seals.take_event((cause.topic, cause.partition), cause.offset, value)
    for taken in steps:
        topic = f"{taken.room[:-1]}.commands"
        held = source.positions.setdefault((topic, taken.partition), SourcePosition(0, 0, 0, 0))
        held.next_offset = taken.offset + 1
        held.decided += 1
        held.record_time_ms = max(held.record_time_ms, taken.time_ms)
        command = item_of(taken)
        assert isinstance(command, Command)
        if taken.room == "campaigns":
            source.commands[Cause(topic, taken.partition, taken.offset)] = command
    return source


@given(story=stories())
@settings(STEADY, max_examples=10)
def test_a_ledger_rebuilt_from_the_events_of_any_story_is_the_same(
    ledger: Ledger, rebuilt: Ledger, story: Story
) -> None:
    rebuilds(ledger, rebuilt, by_one_partition(story))


@given(story=test_waiting_room.stories())
@settings(STEADY, max_examples=10)
def test_a_waiting_room_is_told_by_its_events_and_rebuilt(
    ledger: Ledger, rebuilt: Ledger, story: test_waiting_room.Story
) -> None:
    opening, batches, _ = story
    rebuilds(ledger, rebuilt, [[step(0, "campaigns", opening)], *batches])


@given(told=stacks())
@settings(STEADY, max_examples=10)
def test_orders_of_several_vouchers_are_told_by_their_events_and_rebuilt(
    ledger: Ledger, rebuilt: Ledger, told: Told
) -> None:
    batches = [list(batch) for _, batch in groupby(told.steps, key=lambda said: said.room)]
    rebuilds(ledger, rebuilt, [*told.ahead, *batches])


@given(story=lagging())
@settings(STEADY, max_examples=60)
def test_orders_that_follow_each_other_on_a_voucher_are_rebuilt_in_their_order_whatever_lags(
    ledger: Ledger, rebuilt: Ledger, story: Story
) -> None:
    events = rebuilds(ledger, rebuilt, story)
    assert not [event for event in events if b'.rejected"' in event], "told wrongly: nothing here should be refused"


def rebuilds(ledger: Ledger, rebuilt: Ledger, story: Story) -> list[bytes]:
    """Play the story, compare its events with the ledger, and make the other ledger of them; the events."""
    events = ledger.begin().play(story)
    assert faults(compared(ledger, events)) == []
    rebuilt.begin()
    with rebuilt.connection.transaction():
        rebuilt.connection.execute("SET LOCAL session_replication_role = replica")
        rebuilt.connection.execute("DELETE FROM books.position")
    report = rebuild.RebuildReport(True, {})
    with Spill(3) as spill:
        source = source_of(spill, events, [taken for batch in story for taken in batch])
        campaigns = totals(source.events)
        report.losses = losses(campaigns, source)
        topics = {topic: "topic" for topic, _ in source.positions}
        looks: list[int] = []
        drill = Operation(str(uuid.uuid4()), "rebuild", "a person", "a drill")
        rebuild._write(rebuilt.dsn, source, campaigns, topics, report, drill, lambda: looks.append(1))
    assert looks, "nobody looked whether a processor runs"
    assert table_hashes(rebuilt.connection, COMPARED) == table_hashes(ledger.connection, COMPARED)
    return events


def test_the_journal_of_a_rebuilt_ledger_tells_when_it_was_begun_and_of_those_that_came_to_nothing(
    rebuilt: Ledger,
) -> None:
    with psycopg.connect(rebuilt.dsn, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS fresh")
        connection.execute("CREATE DATABASE fresh")
    dsn = psycopg.conninfo.make_conninfo(rebuilt.dsn, dbname="fresh")
    asked = {"apply": True, "rate": 500}

    def told() -> list[tuple[object, ...]]:
        with postgres.connect(dsn, application="test") as reader:
            return reader.execute(
                "SELECT outcome, verb, reason, arguments, result, ended_at > started_at FROM ledger.operation "
                "ORDER BY started_at"
            ).fetchall()

    # Killed here it would stay so; refused, it is told why; and what was rolled back was not done.
    ends = ExitStack()
    ends.enter_context(begun(dsn, "lost", asked))
    assert told() == [("not ended", "rebuild", "lost", asked, {}, None)]
    gap = Refused("a gap")
    assert ends.__exit__(Refused, gap, None) is False
    refused = ("failed", "rebuild", "lost", asked, {"error": "Refused: a gap"}, True)
    assert told() == [refused]
    with begun(dsn, "again", asked) as operation, postgres.connect(dsn, application="test") as connection:
        operation.result["rows"] = {"voucher": 7}
        with connection.transaction(force_rollback=True):
            finish(connection, operation)
        assert [row[0] for row in told()] == ["failed", "not ended"]
        finish(connection, operation)
    assert told() == [refused, ("done", "rebuild", "again", asked, {"rows": {"voucher": 7}}, True)]
    # What fails once all is committed is done nevertheless.
    once_more = ends.enter_context(begun(dsn, "once more", asked))
    with postgres.connect(dsn, application="test") as connection:
        finish(connection, once_more)
    assert ends.__exit__(Refused, gap, None) is False
    assert [row[0] for row in told()] == ["failed", "done", "done"]
    with pytest.raises(ReasonMissing), begun(dsn, " ", asked):
        pytest.fail("nothing may be done without a reason")


def test_a_database_that_holds_anything_is_refused_before_it_is_migrated(rebuilt: Ledger) -> None:
    with psycopg.connect(rebuilt.dsn, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS older")
        connection.execute("CREATE DATABASE older")
    dsn = psycopg.conninfo.make_conninfo(rebuilt.dsn, dbname="older")
    with psycopg.connect(dsn, autocommit=True) as older:
        older.execute("CREATE SCHEMA books; CREATE TABLE books.voucher (voucher_id text)")
        older.execute("INSERT INTO books.voucher VALUES ('v3-17')")
        for apply in (False, True):
            with pytest.raises(Refused, match=r"books\.voucher has rows"):
                rebuild.rebuild(Settings(kafka="nowhere:1", postgres=dsn), dsn, Event(), apply=apply, reason="a drill")
        assert older.execute("SELECT to_regclass('public.voucher_ledger_migration')").fetchone() == (None,)

"""What a rebuild rests on: that no processor runs, and in which order events are told."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from itertools import permutations
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition

from voucher_ledger import cli
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.replay import rebuild, rebuild_command, rebuild_source
from voucher_ledger.replay.answers import Answers
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.events_aside import EventsAside
from voucher_ledger.replay.operations import Operation
from voucher_ledger.replay.rebuild_seals import SealsAside
from voucher_ledger.replay.rebuild_source import Source, SourcePosition, compare_with_groups
from voucher_ledger.replay.spill import Spill
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import group_offsets, settings
from voucher_ledger.runtime.kafka import group_of
from voucher_ledger.runtime.settings import Settings

SETTINGS = Settings(kafka="nowhere:1", postgres="host=nowhere")


class Record:
    """A command at an offset."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def offset(self) -> int:
        return self._offset


class Groups:
    """An admin client of a cluster where `claims` has committed 7, after a transaction was open for some looks."""

    def __init__(self, open_looks: int) -> None:
        self.open_looks = open_looks

    def list_consumer_group_offsets(self, asked: list[ConsumerGroupTopicPartitions], **_: Any) -> dict[str, Any]:
        (group,) = asked
        future: Future[Any] = Future()
        if group.group_id != group_of("claims"):
            future.set_exception(KafkaException(KafkaError(KafkaError.GROUP_ID_NOT_FOUND)))
        elif self.open_looks:
            self.open_looks -= 1
            future.set_exception(KafkaException(KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT)))
        else:
            offsets = [TopicPartition("claim.commands", 0, 7)]
            future.set_result(ConsumerGroupTopicPartitions(group.group_id, offsets))
        return {group.group_id: future}


def source(spill: Spill, next_offset: int) -> Source:
    held = {("claim.commands", 0): SourcePosition(next_offset, next_offset, 0, 0)}
    return Source(EventsAside(spill), SealsAside(spill), Answers({}), held, {})


@pytest.mark.parametrize(
    ("open_looks", "next_offset", "seconds_max", "refusal"),
    [
        (0, 7, 60.0, None),
        (2, 7, 60.0, None),
        (2, 6, 60.0, "the events end at 6, the group has committed 7"),
        (1_000, 7, 0.0, "a processor is publishing"),
    ],
)
def test_a_processor_that_publishes_is_waited_for_and_never_left_out(
    monkeypatch: pytest.MonkeyPatch, open_looks: int, next_offset: int, seconds_max: float, refusal: str | None
) -> None:
    groups: Any = Groups(open_looks)
    monkeypatch.setattr(group_offsets, "AdminClient", lambda _config: groups)
    monkeypatch.setattr(rebuild_source, "OPEN_TRANSACTION_SECONDS_MAX", seconds_max)
    monkeypatch.setattr(rebuild_source, "_LOOK_AGAIN_SECONDS", 0.0)
    with Spill(1) as spill:
        if refusal is None:
            compare_with_groups(SETTINGS, source(spill, next_offset))
            return
        with pytest.raises(Refused, match=refusal):
            compare_with_groups(SETTINGS, source(spill, next_offset))


def campaign_event(type_: str, partition: int, offset: int, time_ms: int, campaign_id: str = "c") -> dict[str, Any]:
    event_id = f"campaign.commands/{partition}/{offset}/0"
    data = {"campaign_id": campaign_id, "command_id": event_id, "quota": 1, "budget_minor": 1}
    return {"id": event_id, "type": f"campaign.{type_}", "time": rfc3339(time_ms), "data": data}


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ([("opened", 0, 0, 90), ("paused", 0, 1, 100), ("closed", 0, 2, 50)], "closed"),
        ([("opened", 0, 0, 90), ("paused", 0, 1, 100), ("resumed", 0, 2, 50)], "open"),
        ([("opened", 0, 0, 90), ("resumed", 0, 2, 50), ("paused", 0, 1, 50)], "open"),
        # Of two partitions: by their times, but none is before the opening or after the closing.
        ([("opened", 1, 0, 90), ("paused", 0, 0, 95), ("resumed", 1, 1, 96)], "open"),
        ([("opened", 1, 0, 90), ("paused", 0, 0, 97), ("resumed", 1, 1, 96)], "paused"),
        ([("opened", 1, 0, 90), ("paused", 0, 0, 80), ("closed", 0, 1, 85), ("topped_up", 1, 1, 99)], "closed"),
    ],
)
def test_campaigns_are_told_in_the_order_of_their_partition_whatever_the_clock(
    told: list[tuple[str, int, int, int]], state: str
) -> None:
    events = [campaign_event(*said) for said in told]
    later = campaign_event("opened", 0, 99, 1, "other")
    for order in permutations([*events, later]):
        with Spill(1) as spill:
            aside = EventsAside(spill)
            for event in order:
                aside.take(event, b"")
            folded = aside.campaigns()
        assert folded.faults == []
        assert {name: found.state for name, found in folded.campaigns.items()} == {"c": state, "other": "open"}


class Gaps:
    """A reader of command topics whose records lie at `offsets`."""

    def __init__(self, *offsets: int) -> None:
        self.offsets = offsets

    def record_from(self, _place: tuple[str, int], offset: int) -> Record | None:
        return next((Record(found) for found in self.offsets if found >= offset), None)


@pytest.mark.parametrize(
    ("offsets", "answered_to", "next_offset"),
    [
        ([5], 6, 7),  # a marker at 6, and nothing after it
        ([5, 7, 8], 6, 7),  # and commands that wait
        ([5, 6], 6, 6),  # a command at 6 that nobody answered
        ([], None, 7),
        ([0], None, None),
    ],
)
def test_a_position_is_where_its_group_is_if_no_command_lies_between(
    monkeypatch: pytest.MonkeyPatch, offsets: list[int], answered_to: int | None, next_offset: int | None
) -> None:
    groups: Any = Groups(0)
    monkeypatch.setattr(group_offsets, "AdminClient", lambda _config: groups)
    reader: Any = Gaps(*offsets)
    with Spill(1) as spill:
        told = source(spill, answered_to or 0)
        if answered_to is None:
            del told.positions["claim.commands", 0]
        rebuild_source._go_on_past_gaps(SETTINGS, reader, told)
        found = told.positions.get(("claim.commands", 0))
        assert (None if found is None else found.next_offset) == next_offset
        if next_offset == 7:
            compare_with_groups(SETTINGS, told)
        else:
            with pytest.raises(Refused, match="the group has committed 7"):
                compare_with_groups(SETTINGS, told)


def test_a_rebuild_is_in_the_journal_before_anything_is_read_and_without_the_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted: list[object] = []

    @contextmanager
    def begun(target: str, reason: str, arguments: dict[str, Any]) -> Iterator[Operation]:
        noted.append((target, reason, arguments))
        yield Operation("1", "rebuild", "a person", reason)

    def refuse(*_: object) -> None:
        noted.append("read")
        raise Refused("a gap")

    monkeypatch.setattr(settings, "load", lambda: SETTINGS)
    monkeypatch.setattr(rebuild, "begun", begun)
    monkeypatch.setattr(rebuild, "TopicReader", refuse)
    target = "dbname=new password=secret"
    asked = ["replay", "rebuild", "--into", target, "--apply", "--reason", "lost", "--rate", "5"]
    assert cli.main(asked) == ExitCode.CHECK_FAILED
    assert noted == [(target, "lost", {"apply": True, "reason": "lost", "rate": 5.0}), "read"]


@pytest.mark.parametrize(("original", "code"), [("9:ab", ExitCode.DONE), ("9:cd", ExitCode.CHECK_FAILED)])
def test_a_drill_says_whether_the_tables_are_equal(
    original: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hashes = {"voucher": "9:ab", "payment": "1:0f"}
    report = rebuild.RebuildReport(applied=True, positions={}, hashes=hashes)
    monkeypatch.setattr(rebuild_command, "rebuild", lambda *_, **__: report)
    monkeypatch.setattr(rebuild_command, "_refuse_another_version", lambda _dsn: None)
    monkeypatch.setattr(rebuild_command, "_hashes_of", lambda _dsn: {**hashes, "voucher": original})

    def told(*, compare: bool) -> tuple[int, str]:
        found = rebuild_command.run(
            SETTINGS, "dbname=nowhere", apply=True, compare=compare, json=False, spill_directory=None, reason="drill",
            arguments={},
        )  # fmt: skip
        return found, capsys.readouterr().out

    found, text = told(compare=True)
    equal = "equal: all 2 tables that are hashed have the original ledger's hash"
    assert (found, equal in text) == (code, code == ExitCode.DONE)
    assert ("the original ledger has 9:cd" in text) == (code == ExitCode.CHECK_FAILED)
    # What was compared with nothing is equal to nothing.
    assert "equal" not in told(compare=False)[1].lower()

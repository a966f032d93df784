"""What a trace shows of a user who stands in a waiting room, and of what is not there."""

import io
import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from voucher_ledger.replay.answers import Cause
from voucher_ledger.replay.topic_reader import Range
from voucher_ledger.replay.trace import Trace, trace
from voucher_ledger.replay.trace_render import show, to_json
from voucher_ledger.replay.trace_subject import Subject, UnknownSubject

PLACE = {
    "campaign_id": "[/grey]",
    "user_id": "ana",
    "partition": 5,
    "queue_position": 1_234,
    "queued_at": datetime(2026, 2, 6, tzinfo=UTC),
}


def test_who_waits_is_told_where_and_since_when() -> None:
    subject = Subject("user", "ana", waiting=[PLACE])
    console = Console(file=io.StringIO(), width=160)
    show(Trace(subject, [], 0), console)
    written: Any = console.file
    shown = written.getvalue()
    assert "waiting now" in shown
    assert "--scan looks there" in shown, "his claim moved nothing, and so is not among what happened"
    assert "what happened" not in shown
    row = next(line for line in shown.splitlines() if "[/grey]" in line)
    assert [cell.strip() for cell in row.split("│")[1:-1]] == ["[/grey]", "5", "1,234", "2026-02-06T00:00:00.000Z"]
    (told,) = json.loads(to_json(Trace(subject, [], 0)))["waiting"]
    assert (told["partition"], told["queue_position"]) == (5, 1_234)
    assert subject.user_ids() == {"ana"}


@pytest.mark.parametrize(("left_out", "told"), [(1, "1 more command left out"), (2, "2 more commands left out")])
def test_what_is_left_out_is_counted(left_out: int, told: str) -> None:
    console = Console(file=io.StringIO(), width=160)
    show(Trace(Subject("user", "ana"), [], left_out), console)
    written: Any = console.file
    assert told in written.getvalue()


@pytest.mark.parametrize(("place", "told"), [((3, 7), "claim.commands/3 ends at 7"), ((4, 0), "has no partition 4")])
def test_a_record_that_is_not_there_is_refused(place: tuple[int, int], told: str) -> None:
    class Topics:
        def ranges(self, topics: Collection[str]) -> dict[tuple[str, int], Range]:
            return {(topic, 3): Range(0, 7) for topic in topics}

    topics: Any = Topics()
    with pytest.raises(UnknownSubject, match=told):
        trace(topics, Subject("event", "x", cause=Cause("claim.commands", *place)), steps_max=1, scan=False)

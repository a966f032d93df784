"""What a trace shows of a user who stands in a waiting room, and of what is not there."""

import io
import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from rich.console import Console

from voucher_ledger.replay.answers import Cause
from voucher_ledger.replay.topic_reader import Range
from voucher_ledger.replay.trace import Step, Trace, _kind, _scanned, trace
from voucher_ledger.replay.trace_render import show, to_json
from voucher_ledger.replay.trace_subject import Subject, UnknownSubject
from voucher_ledger.replay.trace_unanswered import why_unanswered
from voucher_ledger.runtime.publisher import DEAD_LETTER_TOPIC

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


AT = datetime(2026, 2, 6, 0, 0, 6, 775_000, tzinfo=UTC)
VOUCHER = {
    "voucher_id": "01936c2e-7f3a-7b1c-9e55-3c1f2a9b8d01",
    "user_id": "[/ana]",
    "campaign_id": "spring-2026-coffee-beijing",
    "state": "granted",
    "face_value_minor": 2_000,
    "granted_at": AT,
    "expires_at": AT,
}
STEP = Step(
    Cause("claim.commands", 3, 17),
    command={"type": "voucher.claim", "data": {"user_id": "[/ana]", "campaign_id": VOUCHER["campaign_id"]}},
    command_time_ms=1_770_336_000_123,
)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_ids_and_states_are_whole_at_any_usual_width(width: int) -> None:
    """At 80 columns the voucher's state had a column of no width, and ids were cut."""
    key = str(VOUCHER["voucher_id"])
    console = Console(file=io.StringIO(), width=width)
    show(Trace(Subject("voucher", key, vouchers=[VOUCHER]), [STEP], 0), console)
    written: Any = console.file
    shown: str = written.getvalue()
    lines = shown.splitlines()
    assert max(map(len, lines)) <= width
    told = ("2026-02-06T00:00:06.775Z", "2,000", "command voucher.claim", "claim.commands/3/17", "user_id [/ana]")
    for whole in (key, "granted ", *told):
        assert any(whole in f"{line} " for line in lines), whole
    assert f"what happened to voucher {key}" in " ".join(shown.split())
    assert ("│" in shown.partition("what happened")[0]) is (width == 200)


def test_times_in_the_json_have_the_form_of_all_others() -> None:
    """They were `...06.775000+00:00` in rows and transfers, and `...06.775Z` in steps."""
    step = Step(Cause("claim.commands", 3, 17), command_time_ms=1_770_336_006_775, transfers=[{"at": AT}])
    told = json.loads(to_json(Trace(Subject("voucher", "v", vouchers=[VOUCHER]), [step], 0)))
    assert told["vouchers"][0]["granted_at"] == "2026-02-06T00:00:06.775Z"
    assert told["steps"][0]["transfers"][0]["at"] == told["steps"][0]["command_time"] == "2026-02-06T00:00:06.775Z"


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


class Letters:
    """Topics without any event, and two partitions of dead letters; of claim.commands/3/17 the letter is 1/40."""

    def ranges(self, topics: Collection[str]) -> dict[tuple[str, int], Range]:
        numbers = {topic: (0, 1) if topic == DEAD_LETTER_TOPIC else (3,) for topic in topics}
        return {(topic, number): Range(0, 60) for topic in topics for number in numbers[topic]}

    def offsets_at(self, places: Collection[tuple[str, int]], time_ms: int) -> dict[tuple[str, int], int]:
        return dict.fromkeys(places, time_ms // 1_000)

    def read(self, starts: Any) -> Iterable[Any]:
        ((_, number), start) = next(iter(starts.items()))
        return (self._record(number, offset) for offset in range(start, 60))

    def record_from(self, *_: object) -> None:
        return None

    @staticmethod
    def _record(number: int, offset: int) -> Any:
        told = {
            "dlq_topic": "claim.commands",
            "dlq_partition": "3",
            "dlq_offset": str(offset - 23),
            "dlq_error": "no\x1bgood",
        }
        headers = [(name, value.encode()) for name, value in told.items()]
        return SimpleNamespace(
            partition=lambda: number,
            offset=lambda: offset,
            timestamp=lambda: (1, 0),
            key=lambda: b"",
            value=lambda: b"",
            headers=lambda: headers,
        )


@pytest.mark.parametrize(
    ("cause", "time_ms", "told"),
    [
        (Cause("claim.commands", 3, 17), 90_000, "it is the dead letter 1/40: no\\u001bgood"),
        (Cause("claim.commands", 3, 17), None, "it is the dead letter 1/40: no\\u001bgood"),
        (Cause("claim.commands", 3, 30), 90_000, "it is the dead letter 1/53: no\\u001bgood"),
        (Cause("claim.commands", 3, 6), 90_000, "decided, but still in the outbox: does a processor of the room run?"),
        (Cause("claim.commands", 3, 5), 90_000, "no event answers it: it is none of the 10,000 dead letters that"),
    ],
)
def test_a_command_without_an_event_is_told_as_a_dead_letter_or_as_unpublished(
    cause: Cause, time_ms: int | None, told: str
) -> None:
    outbox = {("claim.commands", 3): Range(6, 31)}
    assert why_unanswered(Letters(), cause, time_ms, outbox, 0).startswith(told)


def test_what_happened_to_a_dead_letter_names_it() -> None:
    """It was "not published yet, or a dead letter"."""
    letters: Any = Letters()
    cause = Cause("claim.commands", 3, 17)
    subject = Subject("event", "x", cause=cause, positions={("claim.commands", 3): 18})
    (step,) = trace(letters, subject, steps_max=1, scan=False).steps
    assert step.notes[-1] == "it is the dead letter 1/40: no\\u001bgood"


class Scanned:
    """Topics that hold one event: a refused order of two vouchers, none of which it moved."""

    DATA: ClassVar = {"order_id": "o1", "user_id": "ana", "voucher_id": "v3-1", "more_voucher_ids": ["v3-2"]}

    def read(self, _starts: Any) -> Iterable[Any]:
        value = {"id": "order.commands/3/40/0", "type": "order.rejected", "data": self.DATA}
        record = SimpleNamespace(
            topic=lambda: "order.events",
            partition=lambda: 3,
            offset=lambda: 0,
            value=lambda: json.dumps(value).encode(),
        )
        return [record]


@pytest.mark.parametrize(
    ("key", "kind"),
    [("v3-1", "voucher"), ("v3-2", "voucher"), ("o1", "order"), ("ana", "user"), ("v3", None), ("[", None)],
)
def test_a_scan_finds_each_voucher_that_a_refused_order_names(key: str, kind: str | None) -> None:
    """One that was among `more_voucher_ids` was not found."""
    topics: Any = Scanned()
    found = list(_scanned(topics, Subject("user", key), [], {("order.events", 3): Range(0, 1)}))
    assert found == ([] if kind is None else [Cause("order.commands", 3, 40)])
    if kind is not None:
        assert _kind(Subject("user", key), [Step(found[0], event={"data": Scanned.DATA})]) == kind

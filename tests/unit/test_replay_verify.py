"""When answers that are missing are a fault: events and dead letters are counted each by themselves."""

from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from voucher_ledger.replay.answers import Answers, AnswersReport
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.ledger_rows import LedgerPosition
from voucher_ledger.replay.topic_reader import Range
from voucher_ledger.replay.verify_judge import Judge
from voucher_ledger.replay.verify_render import show
from voucher_ledger.replay.verify_report import VerifyReport
from voucher_ledger.replay.verify_scope import Scope, bounded, refuse_strange_partitions

PLACE = ("claim.commands", 0)
END = 10
NO_EVENT = "the position tells of"


class Record:
    """A command at an offset."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def offset(self) -> int:
        return self._offset


class Commands:
    """Offset 9 is a transaction's marker: the others hold a command each, from `low` on."""

    def __init__(self, low: int) -> None:
        self.low = low

    def read(self, starts: Mapping[tuple[str, int], int], _passed: object) -> Iterable[Any]:
        return [Record(offset) for start in starts.values() for offset in range(max(start, self.low), 9)]


def judged(
    events: Iterable[int], letters: Iterable[int] = (), *, told: tuple[int, int], low: int = 0, waits: bool = False,
    deleted: bool = False, part: tuple[int, int] | None = None,
) -> tuple[list[str], int, list[str]]:  # fmt: skip
    """The faults, their count, and the notes on a partition whose position tells of `told` (events, dead letters)."""
    bounds = {PLACE: part or (0, END)}
    answers = Answers(bounds)
    for offset in events:
        event = {"id": f"claim.commands/0/{offset}/0", "type": "voucher.rejected", "data": {"reason": "ended"}}
        answers.take_event(event, ("claim.events", 0), offset)
    for offset in letters:
        said = {"topic": "claim.commands", "partition": "0", "offset": str(offset), "error": "x"}
        headers = {f"dlq_{name}": value.encode() for name, value in said.items()}
        answers.take_dead_letter(headers, ("ledger.dead-letters", 0), offset)
    notes = Judge(
        Commands(low), lambda *_: waits, answers, {PLACE: Range(low, END)},
        {PLACE: LedgerPosition(END, *told, "id")}, bounds, whole=part is None, letters_were_deleted=deleted,
    ).run()  # fmt: skip
    return answers.report.faults, answers.report.fault_count, notes


def test_nothing_is_amiss_where_a_marker_is_no_command_and_an_outbox_row_is_published_but_not_pruned() -> None:
    assert judged(range(9), told=(9, 0)) == ([], 0, [])
    assert judged(range(9), told=(9, 0), waits=True) == ([], 0, [])
    assert judged(range(8), [8], told=(8, 1), waits=True) == ([], 0, [])


def test_a_deleted_letter_is_a_note_and_excuses_no_lost_event() -> None:
    note = "claim.commands/0: 2 dead letters were deleted"
    assert judged(range(2, 9), told=(7, 2), deleted=True) == ([], 0, [note])
    # The letters of 0 and 1 are deleted; the refusal of 5 is lost, and is named, as the others must be beside it.
    faults, count, notes = judged([2, 3, 4, 6, 7, 8], told=(7, 2), deleted=True)
    assert (faults, count, notes) == (["claim.commands/0: 3 commands not answered: 0, 1, 5"], 3, [])
    # One event too few and one letter too many are no even balance, whatever their sum, commands deleted or not.
    for low in (0, 5):
        (fault,), count, _ = judged(range(8), [8], told=(9, 0), low=low)
        assert (NO_EVENT in fault, count) == (True, 1)


@pytest.mark.parametrize(("low", "unanswered"), [(0, 1), (5, 1)])
def test_what_waits_in_the_outbox_is_a_fault_also_where_its_commands_were_deleted(low: int, unanswered: int) -> None:
    (fault,), count, _ = judged(range(1, 9), told=(9, 0), low=low, waits=True)
    assert ("still in the outbox" in fault, count) == (True, unanswered)


def test_in_a_part_only_the_commands_tell() -> None:
    assert judged(range(5, 9), told=(7, 2), part=(5, 10), waits=True) == ([], 0, [])
    faults, count, notes = judged([5, 6, 8], told=(7, 2), part=(5, 10), deleted=True)
    assert (faults, count) == (["claim.commands/0: 1 command not answered: 7"], 1)
    assert "verify the whole" in notes[0]
    (fault,), count, _ = judged([5, 6, 8], told=(9, 0), part=(5, 10), waits=True)
    assert ("1 command decided, but still in the outbox" in fault, count) == (True, 1)


OTHER = ("order.commands", 1)
HELD = {PLACE: Range(2, 10), OTHER: Range(0, 4)}
POSITIONS = {PLACE: LedgerPosition(END, 8, 0, "id"), OTHER: LedgerPosition(4, 4, 0, "id")}


class Timed:
    """Commands of which each is a second after the one before; the first is of 1970-01-01T00:00:00Z."""

    def offsets_at(self, places: Iterable[tuple[str, int]], time_ms: int) -> dict[tuple[str, int], int]:
        return {place: min(-(-time_ms // 1_000), HELD[place].high) for place in places}

    def record_from(self, _place: tuple[str, int], offset: int) -> Any:
        record: Any = Record(offset)
        record.timestamp = lambda: (1, offset * 1_000)
        return record


def bounds_of(scope: Scope, positions: Mapping[tuple[str, int], LedgerPosition] = POSITIONS) -> Any:
    reader: Any = Timed()
    return bounded(reader, scope, positions, HELD)


@pytest.mark.parametrize(
    "scope",
    [
        Scope(from_offset=1_000_000),
        Scope(from_offset=10),
        Scope(to_offset=0),
        Scope(partitions=frozenset([0]), to_offset=2),  # what was deleted is no command to be judged
        Scope(partitions=frozenset([1]), from_offset=4),
        Scope(from_ms=10_000),
        Scope(to_ms=0),
    ],
)
def test_a_part_without_a_command_is_refused_since_of_nothing_all_is_answered(scope: Scope) -> None:
    with pytest.raises(Refused, match=r"no decided command lies between --from and --to: there are decided ones"):
        bounds_of(scope)


def test_what_there_is_instead_is_told_by_offsets_and_times() -> None:
    told = "decided ones at the offsets 0 to 9, of the times 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:09.000Z"
    with pytest.raises(Refused, match=told):
        bounds_of(Scope(from_ms=99_000))
    with pytest.raises(Refused, match="none is decided there at all"):
        bounds_of(Scope(from_offset=1), {})


def test_a_part_that_is_empty_in_some_partitions_only_is_none_to_refuse_nor_is_a_ledger_without_any() -> None:
    assert bounds_of(Scope(from_offset=5)) == {PLACE: (5, 10), OTHER: (5, 5)}
    assert bounds_of(Scope(to_ms=1_000)) == {PLACE: (0, 1), OTHER: (0, 1)}
    assert bounds_of(Scope(partitions=frozenset([7]))) == bounds_of(Scope(), {}) == {}


def test_a_partition_that_no_topic_has_is_refused() -> None:
    refuse_strange_partitions(None, HELD)
    refuse_strange_partitions([0, 1], HELD)
    with pytest.raises(Refused, match=r"have partitions 0 to 1, not \[2, 99\]"):
        refuse_strange_partitions([1, 99, 2], HELD)


def test_a_verification_says_what_is_left_to_the_audit() -> None:
    """Who reads `equal` takes transfers for proven too."""
    console = Console(file=StringIO(), width=120)
    show(VerifyReport(AnswersReport(), {}), console)
    written: Any = console.file
    equal, left = written.getvalue().splitlines()[-2:]
    assert equal == "equal"
    assert left == (
        "transfers and the counts of limits are told by no event, and are proven by the audit (`voucher-ledger audit`)"
    )

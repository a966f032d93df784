"""When answers that are missing are a fault: events and dead letters are counted each by themselves."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from voucher_ledger.replay.answers import Answers
from voucher_ledger.replay.ledger_rows import LedgerPosition
from voucher_ledger.replay.topic_reader import Range
from voucher_ledger.replay.verify_judge import Judge

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

    def read(self, starts: Mapping[tuple[str, int], int]) -> Iterable[Any]:
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
    assert (faults, count) == (["claim.commands/0: 1 commands not answered: 7"], 1)
    assert "verify the whole" in notes[0]
    (fault,), count, _ = judged([5, 6, 8], told=(9, 0), part=(5, 10), waits=True)
    assert ("1 commands decided, but still in the outbox" in fault, count) == (True, 1)

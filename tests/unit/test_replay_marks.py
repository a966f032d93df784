"""What the marks of a letter tell of it: what was driven again stays driven, and what is no mark is told."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.unit.letters_given import LETTER, QUARANTINED, REDRIVEN, RELEASED
from voucher_ledger import cli
from voucher_ledger.replay.dead_letters import command, look, marks
from voucher_ledger.replay.dead_letters import selection as selecting
from voucher_ledger.replay.dead_letters.choice import Filter, State, Verdict, state_of, verdict
from voucher_ledger.replay.dead_letters.marks import Mark, mark_key, read_marks
from voucher_ledger.replay.dead_letters.selection import Selection
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.reading import Span
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.settings import Settings

NOWHERE = Settings(kafka="nowhere", postgres="nowhere")


class Record:
    """A record on the topic of marks."""

    def __init__(self, key: bytes | None, value: bytes | None) -> None:
        self.key, self.value = lambda: key, lambda: value
        self.partition, self.offset = lambda: 1, lambda: 4


def given(monkeypatch: pytest.MonkeyPatch, *held: Record) -> None:
    monkeypatch.setattr(marks, "spans", lambda *_: [])
    monkeypatch.setattr(marks, "records", lambda *_: iter(held))


@pytest.mark.parametrize(
    ("history", "state", "what"),
    [
        ([REDRIVEN], State.REDRIVEN, Verdict.REDRIVEN_BEFORE),
        ([QUARANTINED], State.QUARANTINED, Verdict.QUARANTINED),
        ([QUARANTINED, RELEASED], State.OPEN, Verdict.REDRIVE),
        ([REDRIVEN, QUARANTINED], State.QUARANTINED, Verdict.QUARANTINED),
        ([REDRIVEN, QUARANTINED, RELEASED], State.REDRIVEN, Verdict.REDRIVEN_BEFORE),
        ([REDRIVEN, QUARANTINED, QUARANTINED, RELEASED, RELEASED], State.REDRIVEN, Verdict.REDRIVEN_BEFORE),
        ([QUARANTINED, RELEASED, REDRIVEN], State.REDRIVEN, Verdict.REDRIVEN_BEFORE),
    ],
)
def test_who_lifts_a_quarantine_does_not_take_a_redrive_back(
    history: Sequence[Mark], state: State, what: Verdict, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, *(Record(mark_key(LETTER.place), mark.to_json()) for mark in history))
    found = read_marks(NOWHERE)
    mark = found.last[LETTER.place]
    assert (state_of(mark), verdict(LETTER, mark), found.count) == (state, what, len(history))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"2/7", b"no JSON"),
        (b"2/7", None),
        (b"2/7", b"[]"),
        (b"2/7", b"{}"),
        (b"2/7", QUARANTINED.to_json().replace(b"quarantined", b"forgotten")),
        (b"2-7", QUARANTINED.to_json()),
        (b"2/x", QUARANTINED.to_json()),
        (None, QUARANTINED.to_json()),
    ],
)
def test_a_record_that_is_no_mark_is_told_and_not_passed_over(
    key: bytes | None, value: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been the mark of a letter that was driven, which then would be driven twice."""
    given(monkeypatch, Record(b"2/6", QUARANTINED.to_json()), Record(key, value))
    with pytest.raises(Refused, match=r"ledger\.dead-letter-marks/1/4 is no mark of a dead letter"):
        read_marks(NOWHERE)


@pytest.mark.parametrize(("lift", "state"), [([], State.OPEN), (["--lift"], State.QUARANTINED)])
def test_only_an_open_letter_is_quarantined_and_only_a_quarantined_one_released(
    lift: list[str], state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("VOUCHER_LEDGER_POSTGRES", "host=127.0.0.1 port=1")
    asked: list[Selection] = []

    def mark(_settings: Settings, selection: Selection, *_: Any, **__: Any) -> int:
        asked.append(selection)
        return ExitCode.DONE

    monkeypatch.setattr(command, "mark", mark)
    assert cli.main(["replay", "dead-letters", "quarantine", *lift]) == ExitCode.DONE
    assert [one.filter.states for one in asked] == [{state}]


@pytest.mark.parametrize(
    ("offsets", "missing"),
    [((5,), None), ((5, 9), None), ((4,), 4), ((4, 9), 4), ((10,), 10), ((5, 10), 10)],
)
def test_a_letter_that_is_deleted_or_not_there_yet_is_refused_by_its_place(
    offsets: tuple[int, ...], missing: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it was one of two, the read began behind it and it was left out in silence."""
    monkeypatch.setattr(selecting, "spans", lambda *_: [Span("ledger.dead-letters", 2, 5, 10)])
    selection = Selection(Filter(places=frozenset((2, offset) for offset in offsets)))
    if missing is None:
        assert selection.spans(NOWHERE) == [Span("ledger.dead-letters", 2, min(offsets), max(offsets) + 1)]
        return
    with pytest.raises(Refused, match=rf"has no letter at 2/{missing} \(any more\)"):
        selection.spans(NOWHERE)


def test_a_letters_history_tells_each_mark_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reason and target were glued, and a terminal obeyed what the reason held."""
    sent = replace(REDRIVEN, edited=True, reason="a \x1b[2J\nforged line")
    monkeypatch.setattr(look, "only", lambda *_: (LETTER, sent))
    monkeypatch.setattr(look, "history", lambda *_: [QUARANTINED, sent])
    assert look.show(NOWHERE, LETTER.place, json=False) == ExitCode.DONE
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("history")]
    at = "1970-01-01T00:00:05.000Z"
    assert told == [
        f"history         {at} quarantined by me@here: why",
        f"history         {at} redriven by me@here: a \\u001b[2J forged line -> claim.commands/3/20 (edited)",
    ]
    assert look.show(NOWHERE, LETTER.place, json=True) == ExitCode.DONE
    assert [one["mark"] for one in orjson.loads(capsys.readouterr().out)["history"]] == ["quarantined", "redriven"]


def test_a_place_that_is_none_is_told_by_the_parameter_that_gives_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["replay", "dead-letters", "show", "abc"]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert "Invalid value for LETTER" in told
    assert "--at" not in told

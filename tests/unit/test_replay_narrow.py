"""What `dead-letters list`, `operations` and `what-if` of `replay` show on terminals of the usual widths."""

import io
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from rich.console import Console, RenderableType

from voucher_ledger.replay.copying import command as copy_command
from voucher_ledger.replay.dead_letters.letters import Letter
from voucher_ledger.replay.dead_letters.shown import letters_table
from voucher_ledger.replay.operations import Entry
from voucher_ledger.replay.operations_command import _table, document
from voucher_ledger.replay.result_words import result_in_words
from voucher_ledger.replay.what_if import render
from voucher_ledger.replay.what_if.report import BASELINE, CHANGED, RECORDED, Report
from voucher_ledger.replay.what_if.tally import Figures, Share

REASON = "data.campaign_id: '[/spring]' does not match any open campaign"
LETTER = Letter(0, 1_234, 1_770_336_000_123, b"an\na", b"{}", (), "claim.commands", 3, 456_789, REASON, 12)
ENTRY = Entry(
    UUID(int=1), "dead-letters redrive", "ana@host", "ledger_operator", "mended by [/ana]", {},
    datetime(2026, 2, 6, tzinfo=UTC), None, "not ended", {"redriven": 1_234, "left": {"claim.commands": 3}},
)  # fmt: skip


def shown_at(width: int, shown: RenderableType) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(shown)
    written: Any = console.file
    lines: list[str] = written.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return [" ".join(line.split()) for line in lines]


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_a_letters_reason_is_read_at_full_width(width: int) -> None:
    """At 80 columns it was folded into ten characters."""
    lines = shown_at(width, letters_table([(LETTER, None)]))
    for whole in ("0/1234", "claim.commands/3/456789", "open", "2026-02-06T00:00:00.123Z", "an a"):
        assert any(whole in line for line in lines), whole
    assert REASON in " ".join(lines)
    assert len(lines) <= 8


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_an_operations_result_is_read_at_full_width(width: int) -> None:
    lines = shown_at(width, _table([ENTRY]))
    for whole in (
        "2026-02-06 00:00:00", "dead-letters redrive", "ana@host (ledger_operator)", "mended by [/ana]", "not ended",
        "redriven 1,234, left 3 (claim.commands)",
    ):  # fmt: skip
        assert any(whole in line for line in lines), whole
    assert len(lines) <= 6


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({}, ""),
        (
            {"left": {"redriven before": 3_900, "more": 0}, "redriven": 100},
            "redriven 100, left 3,900 (redriven before)",
        ),
        ({"left": {"quarantined": 1, "more": 2}}, "left 3 (quarantined 1, more 2)"),
        ({"by_topic": {}, "late_seconds_max": 1.25}, "late seconds max 1.25, by topic 0"),
        ({"granted": {"baseline": 1_000, "changed": 2}}, "granted (baseline 1,000, changed 2)"),
        ({"from": 5, "committed": None, "passed": True}, "from 5, committed -, passed yes"),
        ({"kept": ["a", "b"], "none": []}, "kept a, b, none none"),
        ({"error": "KeyboardInterrupt: "}, "interrupted"),
        ({"error": "Terminated: ", "copied": 2}, "copied 2, terminated"),
        ({"error": "Refused: no \x1b[2J"}, "Refused: no \\u001b[2J"),
    ],
)
def test_an_operations_result_is_told_in_words(result: dict[str, Any], told: str) -> None:
    assert result_in_words(result) == told


def test_a_copy_tells_its_counts_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    copy_command._tell({"applied": True, "copied": 1_234, "by_topic": {"a": 1_000, "b": 234}, "seconds": None}, False)
    assert [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()] == [
        ["copied", "1,234"], ["by_topic", "1,234 (a 1,000, b 234)"], ["seconds", "-"], ["done"],
    ]  # fmt: skip


def test_an_operations_times_in_json_have_the_form_of_all_others() -> None:
    told = orjson.loads(document(ENTRY))
    assert (told["operation_id"], told["ended_at"]) == (str(UUID(int=1)), None)
    assert told["started_at"] == "2026-02-06T00:00:00.000Z"
    assert told["result"] == ENTRY.result


def what_if(*names: str) -> Report:
    """The same day on each side, with another count of vouchers on the last."""
    sides = {
        name: {
            "grey": Figures(
                granted=50_000 + 400 * (name == names[-1]),
                orders=1_713,
                sold_out_ms=1_770_336_000_123,
                by_category={"shopping": Share(orders=1_234)},
            )
        }
        for name in names
    }
    return Report(sides, {"grey": {"quota": 3}} if CHANGED in names else {})


@pytest.mark.parametrize("width", [60, 80, 100, 120, 160])
@pytest.mark.parametrize("names", [(RECORDED, BASELINE, CHANGED), (RECORDED, BASELINE)])
def test_what_a_what_if_answers_is_read_at_any_width(names: tuple[str, ...], width: int) -> None:
    """At 80 columns the difference was the column that had no room."""
    lines = shown_at(width, render._table(what_if(*names), "grey"))
    heading = next(line for line in lines if "what" in line)
    assert "difference" in heading
    assert "decided again" in " ".join(lines)
    (granted,) = (number for number, line in enumerate(lines) if "vouchers granted" in line)
    assert "+400" in lines[granted]
    told = " ".join(lines[granted : granted + 3])
    assert "50,000" in told
    assert "50,400" in told
    assert "2026-02-06 00:00:00.123" in " ".join(lines)
    assert any("category shopping: orders reserved" in line for line in lines)


def test_a_what_if_shows_what_was_recorded_where_there_is_room() -> None:
    shown = {
        width: " ".join(shown_at(width, render._table(what_if(RECORDED, BASELINE, CHANGED), "grey")))
        for width in (110, 160)
    }
    assert ["recorded" in text for text in shown.values()] == [False, True]

"""What `dead-letters list` and `operations` of `voucher-ledger replay` show on terminals of the usual widths."""

import io
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from rich.console import Console, RenderableType

from voucher_ledger.replay.dead_letters.letters import Letter
from voucher_ledger.replay.dead_letters.shown import letters_table
from voucher_ledger.replay.operations import Entry
from voucher_ledger.replay.operations_command import _table, document

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
        '{"redriven":1234,"left":{"claim.commands":3}}',
    ):  # fmt: skip
        assert any(whole in line for line in lines), whole
    assert len(lines) <= 6


def test_an_operations_times_in_json_have_the_form_of_all_others() -> None:
    told = orjson.loads(document(ENTRY))
    assert (told["operation_id"], told["ended_at"]) == (str(UUID(int=1)), None)
    assert told["started_at"] == "2026-02-06T00:00:00.000Z"
    assert told["result"] == ENTRY.result

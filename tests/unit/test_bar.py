"""The bar of `produce` and of those verbs of `replay` that read long."""

import io
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_produce import NOWHERE, claim
from voucher_ledger.produce import command
from voucher_ledger.produce.bar import Bar
from voucher_ledger.run.exit_codes import ExitCode


@pytest.mark.parametrize(("options", "total"), [({}, 2), ({"skip_invalid": True}, None)])
def test_the_bar_knows_how_many_commands_a_checked_file_has(
    options: dict[str, Any], total: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals: list[tuple[str, int | None]] = []

    def noted(doing: str, total: int | None) -> Bar:
        totals.append((doing, total))
        return Bar(doing, total)

    monkeypatch.setattr(command, "Bar", noted)
    monkeypatch.setattr(command, "_send", lambda *_: ExitCode.DONE)
    source = tmp_path / "commands.ndjson"
    source.write_bytes(claim(1) + b"\n" + claim(2))
    assert command.run(NOWHERE, source, **options) == ExitCode.DONE
    assert totals == [("sending", total)]


class Terminal(io.StringIO):
    """Looks like one."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "shown"), [(Terminal(), True), (io.StringIO(), False)])
def test_a_bar_is_for_a_terminal(stream: io.StringIO, shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    with Bar("sending", 3) as bar:
        bar.update(2)
    assert ("sending" in stream.getvalue()) == shown

"""`voucher-ledger report` before it reads anything."""

from pathlib import Path

import pytest

from voucher_ledger.report import command
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SETTINGS = Settings(kafka="127.0.0.1:1", postgres="host=127.0.0.1 port=1")


def test_a_file_that_cannot_be_written_is_told_in_one_line_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "nowhere" / "x.html"
    assert command.run(SETTINGS, "grey", out) == ExitCode.USAGE
    assert capsys.readouterr() == ("", f"voucher-ledger report: {out}: No such file or directory\n")


def test_what_fails_leaves_no_file_and_an_older_report_as_it_was(tmp_path: Path) -> None:
    new, older = tmp_path / "new.html", tmp_path / "older.html"
    older.write_text("kept")
    for out in (new, older):
        with pytest.raises(Unreachable):
            command.run(SETTINGS, "grey", out)
    assert not new.exists()
    assert older.read_text() == "kept"

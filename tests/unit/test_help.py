"""What the program says of itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from voucher_ledger import __version__, cli
from voucher_ledger.run.exit_codes import INTERRUPTED, READER_GONE, TERMINATED, ExitCode
from voucher_ledger.runtime import settings

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The lines of --help on a terminal of the usual width, without spaces at their ends."""
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(["--help"]) == ExitCode.DONE
    return "\n".join(line.strip() for line in capsys.readouterr().out.splitlines())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == ExitCode.DONE
    assert capsys.readouterr().out == f"voucher-ledger {__version__}\n"


def test_help_names_each_variable_on_a_line_of_its_own(shown: str) -> None:
    for name in (*settings.known_names(), f"{settings.KAFKA_PREFIX}*"):
        assert re.search(rf"^{re.escape(name)}  +\S", shown, flags=re.MULTILINE), name


def test_help_tells_each_exit_code_that_the_readme_tells(shown: str) -> None:
    told = {int(code) for code in re.findall(r"^(\d+)  +\S", shown, flags=re.MULTILINE)}
    assert told == {*ExitCode, INTERRUPTED, READER_GONE, TERMINATED}
    assert told == {int(code) for code in re.findall(r"^\| (\d+) \|", README, flags=re.MULTILINE)}


def test_an_argument_that_is_not_utf_8_is_told_in_one_line() -> None:
    """The text of it could be neither sent nor written: it ended in a traceback."""
    ended = subprocess.run(
        [sys.executable, "-m", "voucher_ledger", "replay", "trace", b"a\xffb"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (ExitCode.USAGE, "error: an argument is not UTF-8: 'a\\udcffb'\n")

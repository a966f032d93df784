"""What `report` does before and after it has something to draw: missing matplotlib, and files written as a whole."""

import sys
from pathlib import Path

import pytest

from voucher_ledger import report
from voucher_ledger.report import command, files
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.settings import Settings


@pytest.fixture
def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(report, "picture", raising=False)
    for name in [name for name in sys.modules if name.startswith("voucher_ledger.report.picture")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ["matplotlib", *(name for name in sys.modules if name.startswith("matplotlib."))]:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("without_matplotlib")
def test_without_matplotlib_it_says_what_to_install_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = Settings(kafka="127.0.0.1:1", postgres="host=127.0.0.1 port=1")
    out = tmp_path / "day.html"
    assert command.run(nowhere, "grey", out, tmp_path / "day.png") == ExitCode.USAGE
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "pip install 'voucher-ledger[png]'" in told
    assert list(tmp_path.iterdir()) == []


def test_page_and_picture_in_one_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = Settings(kafka="127.0.0.1:1", postgres="host=127.0.0.1 port=1")
    assert command.run(nowhere, "grey", tmp_path / "day", tmp_path / "." / "day") == ExitCode.USAGE
    assert "the same file" in capsys.readouterr().err


def test_with_it_the_picture_is_drawn_by_what_was_loaded() -> None:
    assert command.drawing().__module__ == "voucher_ledger.report.picture.draw"


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "day.png"
    for content in (b"first", b"second"):
        files.write_whole(path, content)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_there_stays_where_the_new_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "day.png"
    path.write_bytes(b"first")

    def full(self: Path, content: bytes) -> int:
        self.touch()
        assert content == b"second"
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as failed:
        files.write_whole(path, b"second")
    assert failed.value.filename == str(path)
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_goes_on_leading_to_the_file(tmp_path: Path) -> None:
    path, link = tmp_path / "day.png", tmp_path / "latest.png"
    path.write_bytes(b"first")
    link.symlink_to(path)
    files.write_whole(link, b"second")
    assert link.is_symlink()
    assert path.read_bytes() == b"second"

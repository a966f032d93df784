"""`dev status` and `dev down` from a folder whose default directory holds no cluster."""

import json
from pathlib import Path

import pytest

from voucher_ledger import cli
from voucher_ledger.dev.presence import holds_cluster
from voucher_ledger.run.exit_codes import ExitCode


@pytest.mark.parametrize(("verb", "code"), [("status", ExitCode.UNREACHABLE), ("down", ExitCode.DONE)])
def test_a_folder_without_cluster_is_named(
    verb: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It said that Kafka did not run while a cluster ran elsewhere."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(["dev", verb]) == code
    told = capsys.readouterr()
    assert f"no cluster in {tmp_path.resolve() / '.voucher-ledger'}; use --dir" in told.err
    assert "kafka" not in (told.out + told.err).lower()
    assert not (tmp_path / ".voucher-ledger").exists()


@pytest.mark.parametrize(("verb", "code"), [("status", ExitCode.UNREACHABLE), ("down", ExitCode.DONE)])
def test_a_cluster_that_is_down_is_told_with_its_directory(
    verb: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ports.json").write_text("{}")
    assert cli.main(["dev", verb, "--dir", str(tmp_path)]) == code
    told = capsys.readouterr()
    assert f"the cluster in {tmp_path.resolve()}" in told.out + told.err
    assert "no cluster" not in told.err


def test_the_json_of_a_folder_without_cluster_names_it_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dev", "status", "--json", "--dir", str(tmp_path)]) == ExitCode.UNREACHABLE
    told = json.loads(capsys.readouterr().out)
    assert (told["running"], told["directory"]) == (False, str(tmp_path.resolve()))


def test_a_dangling_link_is_a_clusters(tmp_path: Path) -> None:
    assert not holds_cluster(tmp_path)
    (tmp_path / "postgres").symlink_to(tmp_path / "gone")
    assert holds_cluster(tmp_path)

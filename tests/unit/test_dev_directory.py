"""`dev status`, `dev env` and `dev down` from a folder whose default directory holds no cluster."""

import json
import subprocess
from pathlib import Path

import pytest

from voucher_ledger import cli
from voucher_ledger.dev import cluster
from voucher_ledger.dev.cluster import Endpoints, Status
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


def test_the_two_settings_are_given_as_lines_for_a_shell(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The addresses had to be taken out of JSON by hand: `export VOUCHER_LEDGER_KAFKA=...` as pasted failed."""
    (tmp_path / "ports.json").write_text("{}")
    odd = Endpoints("127.0.0.1:1", "host='a b' $HOME `id`")
    monkeypatch.setattr(cluster, "status", lambda _directory: Status(odd, 1, 2))
    assert cli.main(["dev", "env", "--dir", str(tmp_path)]) == ExitCode.DONE
    lines = capfd.readouterr().out
    subprocess.run(
        ["bash", "-c", f'{lines}\nprintf "%s\\n" "$VOUCHER_LEDGER_KAFKA" "$VOUCHER_LEDGER_POSTGRES"'], check=True
    )
    assert capfd.readouterr().out.splitlines() == [odd.kafka, odd.postgres]


@pytest.mark.parametrize("status", [Status(None, None, None), Status(Endpoints("a:1", "host=a"), 1, None)])
def test_a_cluster_that_does_not_run_gives_no_settings(
    status: Status, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "status", lambda _directory: status)
    assert cli.main(["dev", "env", "--dir", str(tmp_path)]) == ExitCode.UNREACHABLE
    told = capsys.readouterr()
    assert (told.out, "no cluster in" in told.err) == ("", True)
    (tmp_path / "ports.json").write_text("{}")
    assert cli.main(["dev", "env", "--dir", str(tmp_path)]) == ExitCode.UNREACHABLE
    told = capsys.readouterr()
    assert (told.out, "does not run whole: `voucher-ledger dev up" in told.err) == ("", True)

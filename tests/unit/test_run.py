"""How `voucher-ledger run` tells what ended it: to a program that reads its log, and to a person."""

import sys
from typing import Any

import orjson
import pytest

from voucher_ledger import cli
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.errors import Inconsistent, NotSetUp, Unreachable
from voucher_ledger.runtime.processor import InstanceTaken

ENDS = [
    (Unreachable("Postgres does not answer: line one\n\tline two"), ExitCode.UNREACHABLE),
    (NotSetUp("no topic"), ExitCode.USAGE),
    (Inconsistent("positions"), ExitCode.FAILED),
    (InstanceTaken("claims-0"), ExitCode.INSTANCE_TAKEN),
]


def end_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> int:
    def run(*_positional: Any) -> None:
        raise error

    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("VOUCHER_LEDGER_POSTGRES", "host=127.0.0.1 port=1")
    monkeypatch.setattr("voucher_ledger.run.single.run", run)
    return cli.main(["run", "claims"])


@pytest.mark.parametrize(("error", "code"), ENDS)
def test_off_a_terminal_each_line_is_a_record(
    error: Exception, code: ExitCode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end_with(error, monkeypatch) == code
    (line,) = [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["level"], line["exit_code"], line["process"]) == ("error", code, "claims")
    assert line["cause"] == "; ".join(part.strip() for part in str(error).splitlines())


@pytest.mark.parametrize(("error", "code"), ENDS)
def test_on_a_terminal_it_is_a_line_for_people(
    error: Exception, code: ExitCode, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert end_with(error, monkeypatch) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_a_mistake_is_one_record_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end_with(KeyError("partition"), monkeypatch) == ExitCode.CHECK_FAILED
    (line,) = [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert "KeyError: 'partition'" in line["exception"]

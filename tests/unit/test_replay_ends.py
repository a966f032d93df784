"""How `voucher-ledger replay` verbs end: not equal, out of reach and stopped are told apart."""

import errno
import os
import signal
from collections.abc import Callable

import psycopg
import pytest

from voucher_ledger import cli
from voucher_ledger.replay import operations_command, rebuild_command, verify_command
from voucher_ledger.replay.errors import Refused, Unread
from voucher_ledger.replay.seals import command as seals_command
from voucher_ledger.replay.seek import command as seek_command
from voucher_ledger.run.exit_codes import INTERRUPTED, READER_GONE, TERMINATED, ExitCode
from voucher_ledger.runtime import postgres

VERBS = {
    "verify": (verify_command, "verify", ["verify"]),
    "verify --seals": (seals_command, "verify_seals", ["verify", "--seals"]),
    "seal": (seals_command, "connect", ["seal"]),
    "trace": (postgres, "connect", ["trace", "user-1"]),
    "rebuild": (rebuild_command, "rebuild", ["rebuild", "--into", "dbname=nowhere"]),
    "seek": (seek_command, "find", ["seek", "--room", "claims", "--partition", "0", "--to", "1"]),
    "operations": (operations_command, "latest", ["operations"]),
}


def _terminated() -> None:
    """The handler of a signal that a process sends itself has run before the next statement."""
    os.kill(os.getpid(), signal.SIGTERM)
    raise AssertionError("SIGTERM did not end it")


def _raise(error: BaseException) -> Callable[[], None]:
    def end() -> None:
        raise error

    return end


ENDS: list[tuple[Callable[[], None], int, str]] = [
    (_raise(Refused("no such thing")), ExitCode.CHECK_FAILED, "error: no such thing"),
    (_raise(Unread("nothing came for 30 s")), ExitCode.UNREACHABLE, "error: nothing came for 30 s"),
    (
        _raise(OSError(errno.ENOSPC, "No space left on device (--spill-dir names another)", "/spill")),
        ExitCode.FAILED,
        "error: /spill: No space left on device (--spill-dir names another)",
    ),
    (_raise(OSError(errno.EIO, "Input/output error")), ExitCode.FAILED, "error: Input/output error"),
    (_raise(psycopg.InterfaceError("the connection is closed")), ExitCode.UNREACHABLE, "error: Postgres"),
    (_raise(KeyboardInterrupt()), INTERRUPTED, "error: interrupted; "),
    (_terminated, TERMINATED, "error: terminated; "),
]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("VOUCHER_LEDGER_POSTGRES", "host=127.0.0.1 port=1")


def ended_by(verb: str, end: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> int:
    module, name, arguments = VERBS[verb]
    monkeypatch.setattr(module, name, lambda *_, **__: end())
    return cli.main(["replay", *arguments])


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(("end", "code", "told"), ENDS)
def test_each_verb_tells_what_ended_it_in_one_line(
    verb: str, end: Callable[[], None], code: int, told: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    before = signal.getsignal(signal.SIGTERM)
    assert ended_by(verb, end, monkeypatch) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(told)
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_database_that_goes_away_in_the_midst_is_out_of_reach_and_no_difference(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = psycopg.OperationalError("server closed the connection unexpectedly\n\tThis probably means")
    assert ended_by(verb, _raise(gone), monkeypatch) == ExitCode.UNREACHABLE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: Postgres")
    assert "server closed the connection unexpectedly" in line


def test_a_mistake_of_the_program_that_only_looks_like_a_failed_disk_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TimeoutError):
        ended_by("verify", _raise(TimeoutError()), monkeypatch)
    assert ended_by("verify", _raise(BrokenPipeError(errno.EPIPE, "Broken pipe")), monkeypatch) == READER_GONE

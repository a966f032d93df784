"""Ctrl-C and SIGTERM: scripts learn of them by 130 and 143, people by one line of what is left."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import orjson
import pytest
from confluent_kafka import Producer

from voucher_ledger import cli
from voucher_ledger.dev import cluster
from voucher_ledger.dev.presence import located
from voucher_ledger.produce import command as produce_command
from voucher_ledger.produce.records import TimedCommand
from voucher_ledger.produce.sender import Sender as KafkaSender
from voucher_ledger.replay import errors
from voucher_ledger.run.exit_codes import INTERRUPTED, TERMINATED, ExitCode
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.simulate import command as simulate_command
from voucher_ledger.simulate.tally import Tally
from voucher_ledger.status import command as status_command

ENDS = [(signal.SIGINT, INTERRUPTED, "interrupted"), (signal.SIGTERM, TERMINATED, "terminated")]
CLAIM = (
    b'{"specversion":"1.0","id":"c","source":"t","type":"voucher.claim","time":"2026-02-06T00:00:00Z",'
    b'"data":{"campaign_id":"c","user_id":"u"}}\n'
)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("VOUCHER_LEDGER_POSTGRES", "host=127.0.0.1 port=1")


@pytest.fixture(autouse=True)
def survivors() -> Iterator[None]:
    """Where nothing catches SIGTERM it would end pytest: a test that fails is to be told of."""

    def miss(_number: int, _frame: object) -> None:
        raise AssertionError("nobody catches SIGTERM")

    before = signal.signal(signal.SIGTERM, miss)
    yield
    signal.signal(signal.SIGTERM, before)


def sends(number: int) -> Callable[..., Any]:
    """Sends this process the signal: its handler has run before the next statement."""

    def send(*_positional: Any, **_named: Any) -> None:
        os.kill(os.getpid(), number)

    return send


class Sender:
    """One record was taken and delivered."""

    accepted, failed, failures = 1, 0, ()

    def __init__(self, *_positional: Any, **_named: Any) -> None:
        self.send: Callable[..., Any] = lambda *_: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def require_topics(self, _topics: list[str]) -> None:
        pass


class Answers:
    """One command is not answered."""

    unanswered = ("claim.commands/0/1",)
    await_all: Callable[..., Any]

    def __init__(self, _settings: Any) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def delivered(self, *_place: Any) -> None:
        pass


@pytest.mark.parametrize(("number", "code", "word"), ENDS)
@pytest.mark.parametrize("watch", [False, True])
def test_a_status_that_has_shown_nothing(
    watch: bool, number: int, code: int, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status_command, "Reader", sends(number))
    assert cli.main(["status", *(["--watch"] if watch else [])]) == code
    assert capsys.readouterr().err == f"error: {word}; it only reads, so nothing is left\n"


@pytest.mark.parametrize(
    ("command", "where"),
    [
        ("audit", "voucher_ledger.ledger.audit_command.connect"),
        ("migrate", "voucher_ledger.runtime.postgres.connect"),
        ("topics", "voucher_ledger.runtime.topics.ensure_topics"),
    ],
)
def test_ctrl_c_is_told_where_a_command_says_nothing_of_its_own(
    command: str, where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(where, sends(signal.SIGINT))
    assert cli.main([command]) == INTERRUPTED
    assert capsys.readouterr().err == "error: interrupted\n"


def test_a_run_that_was_interrupted_before_it_ran_is_a_record_of_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("voucher_ledger.run.supervisor.workers", sends(signal.SIGINT))
    assert cli.main(["run", "all"]) == INTERRUPTED
    (line,) = [orjson.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["event"], line["exit_code"]) == ("interrupted", INTERRUPTED)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, ExitCode.DONE), (signal.SIGTERM, TERMINATED)])
def test_a_watch_is_ended_by_ctrl_c(number: int, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is its usual end."""

    class Reader:
        """Looks once and sees nothing."""

        def __init__(self, *_positional: Any, **_named: Any) -> None:
            pass

        def snapshot(self) -> None:
            pass

        def close(self) -> None:
            pass

    monkeypatch.setattr(status_command, "Reader", Reader)
    monkeypatch.setattr(status_command, "_print", sends(number))
    assert cli.main(["status", "--watch"]) == code


@pytest.mark.parametrize(("number", "code", "word"), ENDS)
@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("check", "{word} before anything was sent"),
        ("send", "stopped early: {word}; sent again from its beginning, what was delivered is answered as a duplicate"),
        ("await", "{word} with 1 not answered: they are delivered, and are decided once"),
    ],
)
def test_produce_tells_what_was_sent(
    where: str, told: str, number: int, code: int, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    source = tmp_path / "commands.ndjson"
    source.write_bytes(CLAIM)
    sender = Sender()
    monkeypatch.setattr(produce_command, "Sender", lambda *_, **__: sender)
    monkeypatch.setattr(produce_command, "Answers", Answers)
    if where == "check":
        monkeypatch.setattr(produce_command, "_check", sends(number))
    elif where == "send":
        sender.send = sends(number)
    else:
        monkeypatch.setattr(Answers, "await_all", sends(number), raising=False)
    assert cli.main(["produce", "--await", str(source)]) == code
    assert f"error: {source}: {told.format(word=word)}" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code", "word"), ENDS)
def test_a_play_that_is_ended_gives_its_figures(
    number: int, code: int, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def play(*_positional: Any, **_named: Any) -> Tally:
        sends(number)()
        tally = Tally("sim", "grey")
        tally.sent["claim.commands"] = 3
        tally.answered = 2
        return tally

    monkeypatch.setattr(simulate_command, "play", play)
    assert cli.main(["simulate", "--claims", "10"]) == code
    told = f"{word}, the rest of the day was not sent: 0 records not delivered, 1 command unanswered; "
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code", "word"), ENDS)
def test_dev_up_says_what_runs_on(
    number: int, code: int, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(cluster, "up", sends(number))
    directory = tmp_path / "two words"
    assert cli.main(["dev", "up", "--dir", str(directory)]) == code
    end = f"voucher-ledger dev down --dir '{located(directory)}'"
    assert capsys.readouterr().err == f"{word}: what was started runs on; `{end}` ends it\n"


@pytest.mark.parametrize(("number", "code", "word"), ENDS)
@pytest.mark.parametrize("wait", [Producer.flush, Producer.poll])
def test_a_signal_within_a_callback_of_kafkas_client_is_not_lost(
    wait: Callable[[Producer, float], int], number: int, code: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    producer = Producer({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    producer.produce("claim.commands", b"{}", on_delivery=lambda *_: signal.raise_signal(number))
    producer.purge()
    assert errors.ended(lambda: wait(producer, 5.0)) == code
    assert word in capsys.readouterr().err


@pytest.mark.parametrize(("number", "code", "word"), ENDS)
def test_a_play_that_is_ended_again_ends_at_once(
    number: int, code: int, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def play(settings: Settings, *_positional: Any, **_named: Any) -> Tally:
        sends(number)()
        sender = KafkaSender(settings)
        monkeypatch.setattr(sender, "_fail", lambda *_: signal.raise_signal(number))
        sender.send([TimedCommand(0, "claim.commands", b"u", b"{}")])
        sender._producer.purge()
        sender.finish()
        return Tally("sim", "grey")

    monkeypatch.setattr(simulate_command, "play", play)
    assert cli.main(["simulate", "--claims", "10"]) == code
    assert f"{word} again, ended at once" in capsys.readouterr().err

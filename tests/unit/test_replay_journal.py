"""What is refused is in the operations journal too, and what was only misspelled is usage."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from voucher_ledger import cli
from voucher_ledger.replay import operations
from voucher_ledger.replay.copying import command as copy_command
from voucher_ledger.replay.dead_letters import look
from voucher_ledger.replay.dead_letters.choice import State
from voucher_ledger.replay.dead_letters.selection import Selection
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.seek import command as seek_command
from voucher_ledger.replay.seek import standing
from voucher_ledger.replay.seek.plan import Standing
from voucher_ledger.replay.what_if import command as what_if_command
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import topics

STANDING = Standing(
    topic="claim.commands", partition=1, decided=50, committed=50, low=0, high=80, answered=49, moved=-1,
    unpublished=0, outbox_end=0,
)  # fmt: skip
SEEK = ["seek", "--room", "claims", "--partition", "1", "--to", "5"]
COPY = ["copy", "--name", "night", "--from-topic", "claim.commands", "--to-topic", "claim.commands"]
EDIT = ["dead-letters", "redrive", "--edit"]
EXPORT = ["dead-letters", "export"]
WHY = ["--apply", "--reason", "a try"]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("VOUCHER_LEDGER_POSTGRES", "host=127.0.0.1 port=1")


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """What is written into the journal: verb, reason, and of an end the outcome and the error."""
    written: list[tuple[str, ...]] = []

    def write(_connect: object, _statement: str, operation: operations.Operation, *more: Any) -> None:
        ended = (more[0], operation.result["error"]) if len(more) > 1 else ()
        written.append((operation.verb, operation.reason, *ended))

    monkeypatch.setattr(operations, "_write", write)
    monkeypatch.setattr(seek_command, "find", lambda *_: standing.Target("claims", "claim.commands", "", "", 1, "", 1))
    monkeypatch.setattr(seek_command, "connect", lambda _: nullcontext())
    monkeypatch.setattr(seek_command, "read", lambda *_: STANDING)
    monkeypatch.setattr(copy_command, "_cluster_id", lambda _: "here")
    return written


@pytest.mark.parametrize(
    ("arguments", "verb", "why"),
    [
        (SEEK, "seek", "offset 49 is answered"),
        (COPY, "copy", "decided into the live books"),
        (EDIT, "dead-letters redrive", "name it with --at"),
        (EXPORT, "dead-letters export", "choose another name"),
    ],
)
def test_a_refusal_is_an_entry_of_the_journal_and_a_dry_runs_is_none(
    arguments: list[str], verb: str, why: str, journal: list[tuple[str, ...]], tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"{}")
    asked = ["replay", *arguments, *([str(there)] if verb.startswith("dead-letters") else [])]
    if arguments is not EXPORT:  # which has no dry run
        assert cli.main(asked) == ExitCode.CHECK_FAILED
        assert journal == []
    applied = [*asked, *(WHY if arguments is not EXPORT else WHY[1:])]
    assert cli.main(applied) == ExitCode.CHECK_FAILED
    started, ended = journal
    assert started == (verb, "a try")
    assert ended[:3] == (verb, "a try", "failed")
    assert why in ended[3]


def test_a_partition_that_is_not_there_is_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(topics, "describe", lambda _, name: topics.Topic(name, "one", 12))
    asked = ["replay", "seek", "--room", "claims", "--partition", "33", "--to", "5"]
    assert cli.main(asked) == ExitCode.USAGE
    assert capsys.readouterr().err == "error: claim.commands has the partitions 0 to 11\n"


def test_a_blank_reason_is_as_none(
    journal: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It ended in a traceback."""
    there = tmp_path / "there"
    there.write_bytes(b"")
    assert cli.main(["replay", *EXPORT, str(there), "--reason", " "]) == ExitCode.CHECK_FAILED
    monkeypatch.setattr(what_if_command, "_day", lambda *_: None)
    monkeypatch.setattr(what_if_command, "sandboxes", refuse)
    assert cli.main(["replay", "what-if", "--reason", "\t"]) == ExitCode.CHECK_FAILED
    assert [entry[:2] for entry in journal[::2]] == [
        ("dead-letters export", look.EXPORT_REASON),
        ("what-if", what_if_command.REASON),
    ]
    for changing in (EDIT[:-1], COPY, SEEK):
        assert cli.main(["replay", *changing, "--apply", "--reason", " "]) == ExitCode.USAGE


def refuse(*_: object) -> None:
    raise Refused("there is no room for sandboxes")


def test_an_export_takes_letters_by_what_was_done_about_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen: list[frozenset[State]] = []

    def export(_settings: object, selection: Selection, *_: object, **__: object) -> int:
        chosen.append(selection.filter.states)
        return ExitCode.DONE

    monkeypatch.setattr(look, "export", export)
    for states in ([], ["--state", "open"], ["--state", "open", "--state", "redriven"]):
        assert cli.main(["replay", *EXPORT, "-", *states]) == ExitCode.DONE
    assert chosen == [frozenset(State), {State.OPEN}, {State.OPEN, State.REDRIVEN}]
    assert cli.main(["replay", *EXPORT, "-", "--state", "mended"]) == ExitCode.USAGE
    assert "'mended' is none of open, redriven, quarantined" in " ".join(capsys.readouterr().err.split())

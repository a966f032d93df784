"""What `produce --await` takes for an answer, and what it refuses before it talks to Kafka."""

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import orjson
import pytest

from voucher_ledger import cli
from voucher_ledger.produce import command
from voucher_ledger.produce.answers import COMMANDS_AWAITED_MAX, Answer, RecordPlace, answer_in
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import settings

NOWHERE = settings.load({"VOUCHER_LEDGER_KAFKA": "127.0.0.1:1", "VOUCHER_LEDGER_POSTGRES": "host=127.0.0.1 port=1"})
PLACE = RecordPlace("campaign.commands", 3, 17)


class Record:
    """A record as a consumer gives it."""

    def __init__(self, topic: str, value: bytes | None, headers: list[tuple[str, bytes | None]] | None = None) -> None:
        self.topic = lambda: topic
        self.value = lambda: value
        self.headers = lambda: headers


def answer(record: Any) -> Answer | None:
    return answer_in(record)


def event(type_: str, index: int = 0, **data: Any) -> Record:
    content = {"id": f"{PLACE}/{index}", "type": type_, "data": {"command_id": "c-1", **data}}
    return Record("campaign.events", orjson.dumps(content))


def test_a_refusal_is_told_with_its_reason_and_detail() -> None:
    found = answer(event("campaign.rejected", reason="unknown_campaign", detail="no campaign 'midnite'"))
    assert found == Answer(PLACE, "campaign.rejected", "c-1", "unknown_campaign", "no campaign 'midnite'", False)
    assert found.refused
    told = "campaign.commands/3/17 (id c-1): campaign.rejected: unknown_campaign: no campaign 'midnite'"
    assert str(found) == told


def test_a_pause_is_no_refusal_and_its_own_reason_is_not_told_as_one() -> None:
    found = answer(event("campaign.paused", reason="checking", duplicate=True))
    assert found == Answer(PLACE, "campaign.paused", "c-1", None, None, True)
    assert not found.refused
    assert str(found) == "campaign.commands/3/17 (id c-1): campaign.paused, a duplicate"


def test_a_dead_letter_is_an_answer_and_a_refusal() -> None:
    headers: list[tuple[str, bytes | None]] = [
        ("dlq_topic", b"campaign.commands"), ("dlq_partition", b"3"), ("dlq_offset", b"17"),
        ("dlq_error", b"decision_failed"), ("other", None),
    ]  # fmt: skip
    found = answer(Record("ledger.dead-letters", b"x", headers))
    assert found is not None
    assert found.refused
    assert str(found) == "campaign.commands/3/17: dead letter: decision_failed"


@pytest.mark.parametrize(
    "record",
    [
        event("voucher.granted", index=1),
        Record("campaign.events", None),
        Record("campaign.events", b"[]"),
        Record("campaign.events", b'{"id": "somebody-elses", "type": "x", "data": {}}'),
        Record("campaign.events", b'{"id": 5, "type": "x", "data": {}}'),
        Record("ledger.dead-letters", b"x", None),
        Record("ledger.dead-letters", b"x", [("dlq_topic", b"claim.commands")]),
    ],
)
def test_what_is_no_answer_is_passed_over(record: Record) -> None:
    assert answer(record) is None


def test_more_commands_than_can_be_awaited_are_refused_before_kafka_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pause = {
        "specversion": "1.0", "id": "p", "source": "test", "type": "campaign.pause", "time": "2026-02-06T00:00:00Z",
        "data": {"campaign_id": "grey", "approved_by": "me", "reason": "checking"},
    }  # fmt: skip
    source = tmp_path / "commands.ndjson"
    source.write_bytes((orjson.dumps(pause) + b"\n") * (COMMANDS_AWAITED_MAX + 1))
    assert command.run(NOWHERE, source, await_seconds=1.0) == ExitCode.USAGE
    assert "nothing was sent: 10,001 commands; --await follows 10,000 at most" in capsys.readouterr().err


def test_seconds_without_await_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["produce", "--await-seconds", "5"]) == ExitCode.USAGE
    assert "only --await waits" in capsys.readouterr().err


@pytest.mark.parametrize(("undelivered", "code"), [(0, ExitCode.DONE), (1, ExitCode.CHECK_FAILED)])
def test_a_partly_undelivered_file_is_no_success_though_all_that_was_delivered_is_answered(
    undelivered: int,
    code: ExitCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    granted = answer(event("voucher.granted"))
    answers = MagicMock(unanswered={})
    answers.__enter__.return_value = answers
    answers.await_all.return_value = [granted]
    sender = MagicMock(
        accepted=1 + undelivered, failed=undelivered, failures=["claim.commands: timed out"] * undelivered
    )
    monkeypatch.setattr(command, "Answers", lambda _: answers)
    monkeypatch.setattr(command, "Sender", lambda *_, **__: sender)
    source = tmp_path / "commands.ndjson"
    source.write_bytes(b"")
    assert command.run(NOWHERE, source, await_seconds=1.0) == code
    told = capsys.readouterr()
    assert str(granted) in told.out
    assert ("1 command not delivered" in told.err) == bool(undelivered)

"""Lines in, records or reasons out; and what `produce` refuses before it talks to Kafka."""

import io
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voucher_ledger import cli
from voucher_ledger.core.validation import COMMAND_BYTES_MAX
from voucher_ledger.produce import clients
from voucher_ledger.produce.command import BAD_LINES_SHOWN_MAX, run
from voucher_ledger.produce.lines import BadLine, LineChecker, read
from voucher_ledger.produce.pace import CATCH_UP_RATE_MAX, CATCH_UP_SECONDS_MAX, JITTER_SECONDS, Pace
from voucher_ledger.produce.records import TimedCommand
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import settings

NOWHERE = settings.load({"VOUCHER_LEDGER_KAFKA": "127.0.0.1:1", "VOUCHER_LEDGER_POSTGRES": "host=127.0.0.1 port=1"})
CHECKER = LineChecker()


def claim(number: int, **change: Any) -> bytes:
    envelope = {
        "specversion": "1.0",
        "id": f"c-{number}",
        "source": "test",
        "type": "voucher.claim",
        "time": "2026-02-06T00:00:00.123Z",
        "data": {"campaign_id": "grey", "user_id": f"u-{number}"},
    }
    return orjson.dumps({**envelope, **change})


def pause() -> bytes:
    data = {"campaign_id": "grey", "approved_by": "me", "reason": "checking"}
    return claim(0, type="campaign.pause", data=data)


def items(text: bytes, topic: str | None = None) -> list[TimedCommand | BadLine]:
    return list(read(io.BytesIO(text), LineChecker(topic)))


def test_a_line_becomes_a_record_of_its_topic_under_its_key() -> None:
    found = items(claim(1) + b"\n" + pause() + b"\n")
    assert found == [
        TimedCommand(1_770_336_000_123, "claim.commands", b"u-1", claim(1)),
        TimedCommand(1_770_336_000_123, "campaign.commands", b"grey", pause()),
    ]


def test_blank_lines_and_line_ends_of_any_kind_are_no_commands_but_are_counted() -> None:
    found = items(b"\n\r\n  " + claim(1) + b"\r\n\n{\n" + claim(2))
    assert [item.value if isinstance(item, TimedCommand) else item.number for item in found] == [claim(1), 5, claim(2)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"hello", "not JSON"),
        (b"[1]", "the record is a list"),
        (b"{}", "no type; there are campaign.open"),
        (b'{"type": 5}', "unknown type '5'"),
        (claim(1, type="voucher.steal"), "unknown type 'voucher.steal'"),
        (claim(1, data={"campaign_id": "grey"}), "data.user_id is missing"),
        (claim(1, data={"campaign_id": "grey", "user_id": "u", "city_tier": 9}), "data.city_tier: 9"),
        (claim(1, time="2026-02-06T08:00:00+08:00"), "time:"),
        (claim(1, id="\x00"), "id:"),
    ],
)
def test_a_bad_line_is_told_by_number_and_reason(line: bytes, reason: str) -> None:
    (bad,) = items(b"\n" + line + b"\n")
    assert isinstance(bad, BadLine)
    assert bad.number == 2
    assert reason in bad.reason


def test_an_overlong_line_is_refused_without_losing_the_next() -> None:
    found = items(b"x" * (3 * COMMAND_BYTES_MAX) + b"\n" + claim(1) + b"\n" + b"y" * (COMMAND_BYTES_MAX + 1))
    assert found[0] == BadLine(1, "more than 65,536 bytes; a command has at most so many")
    assert isinstance(found[1], TimedCommand)
    assert isinstance(found[2], BadLine)


def test_a_line_of_the_greatest_length_is_taken() -> None:
    padding = COMMAND_BYTES_MAX - len(claim(1, traceparent=""))
    (taken,) = items(claim(1, traceparent="x" * padding) + b"\r\n")
    assert isinstance(taken, TimedCommand)


def test_a_chosen_topic_refuses_the_types_of_others() -> None:
    (bad,) = items(pause(), topic="claim.commands")
    assert isinstance(bad, BadLine)
    assert "claim.commands takes voucher.claim, voucher.admit, voucher.expire" in bad.reason


@given(st.lists(st.binary().filter(lambda line: b"\n" not in line)))
def test_rubbish_never_breaks_the_reading(lines: list[bytes]) -> None:
    found = list(read(io.BytesIO(b"\n".join([*lines, claim(7)])), CHECKER))
    assert isinstance(found[-1], TimedCommand)
    assert all(isinstance(item, BadLine) for item in found[:-1])
    assert len(found) == 1 + sum(bool(line.strip()) for line in lines)


def test_a_file_with_a_bad_line_is_refused_before_kafka_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "commands.ndjson"
    bad_lines = BAD_LINES_SHOWN_MAX + 3
    source.write_bytes(claim(1) + b"\n" + b"oops\n" * bad_lines)
    assert run(NOWHERE, source) == ExitCode.CHECK_FAILED
    errors = capsys.readouterr().err
    assert f"{source}:2: not JSON" in errors
    assert errors.count(": not JSON") == BAD_LINES_SHOWN_MAX
    assert "and 3 more bad lines" in errors
    assert f"nothing was sent: {bad_lines} bad lines" in errors


def test_one_bad_line_is_told_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "commands.ndjson"
    source.write_bytes(b"oops\n")
    assert run(NOWHERE, source) == ExitCode.CHECK_FAILED
    assert "nothing was sent: 1 bad line (" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"rate": 0.0}, "must be above 0"),
        ({"rate": float("nan")}, "must be above 0"),
        ({"topic": "claim.events"}, "is no command topic"),
        ({}, "cannot read missing.ndjson: No such file"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    options: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(NOWHERE, Path("missing.ndjson"), **options) == ExitCode.USAGE
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert reason in errors
    assert errors.count("\n") == 1


def test_a_kafka_that_does_not_answer_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "REQUEST_SECONDS_MAX", 0.2)
    source = tmp_path / "commands.ndjson"
    source.write_bytes(claim(1))
    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", NOWHERE.kafka)
    monkeypatch.setenv("VOUCHER_LEDGER_POSTGRES", NOWHERE.postgres)
    assert cli.main(["produce", str(source)]) == ExitCode.UNREACHABLE
    assert capsys.readouterr().err.startswith("error: Kafka at 127.0.0.1:1 does not answer")


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_pace_spreads_records_evenly() -> None:
    clock = Clock()
    pace = Pace(10.0, clock)
    assert pace.wait_seconds(1) == pytest.approx(0.1)
    assert pace.wait_seconds(4) == pytest.approx(0.5)
    clock.seconds += 0.5
    assert pace.wait_seconds(1) == pytest.approx(0.1)


def sent_within(pace: Pace, clock: Clock, seconds: float) -> int:
    """How many records go out in so long, one at a time."""
    end_seconds, sent = clock.seconds + seconds, 0
    while clock.seconds < end_seconds:
        sent += 1
        clock.seconds += pace.wait_seconds(1)
    return sent


def test_a_pace_begins_with_the_first_record_and_not_while_a_client_opens() -> None:
    clock = Clock()
    pace = Pace(500.0, clock)
    clock.seconds += 0.7
    assert sent_within(pace, clock, 1.0) == pytest.approx(500, abs=1)


@pytest.mark.parametrize(("pause_seconds", "made_up_seconds"), [(0.4, 0.4), (60.0, CATCH_UP_SECONDS_MAX)])
def test_a_pace_makes_up_for_a_pause_but_not_at_once_nor_for_all_of_a_long_one(
    pause_seconds: float, made_up_seconds: float
) -> None:
    clock = Clock()
    pace = Pace(300.0, clock)
    assert sent_within(pace, clock, 10.0) == pytest.approx(3_000, abs=1)
    clock.seconds += pause_seconds
    first_second = sent_within(pace, clock, 1.0)
    assert 300 < first_second <= 300 * CATCH_UP_RATE_MAX + 300 * JITTER_SECONDS + 2
    later = sent_within(pace, clock, 29.0)
    assert first_second + later == pytest.approx(300 * (30 + made_up_seconds), abs=3)


def test_a_wait_that_is_a_little_long_is_made_up_for_at_once() -> None:
    clock = Clock()
    pace = Pace(300.0, clock)
    sent_within(pace, clock, 10.0)
    clock.seconds += 0.01
    assert [pace.wait_seconds(1) for _ in range(3)] == [0.0, 0.0, pytest.approx(0.0, abs=0.001)]


def test_without_a_rate_nothing_waits() -> None:
    pace = Pace(None, Clock())
    assert pace.wait_seconds(10**9) == 0.0
    assert pace.chunk(2_000) == 2_000


@pytest.mark.parametrize(("rate", "chunk"), [(1.0, 1), (5_000.0, 100), (1e9, 2_000)])
def test_a_pace_sends_a_fiftieth_of_a_second_at_once(rate: float, chunk: int) -> None:
    assert Pace(rate, Clock()).chunk(2_000) == chunk

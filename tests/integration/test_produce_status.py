"""`produce`, `status` and `simulate` on the real broker and database."""

import io
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.integration.broker import reset_broker
from tests.integration.commands import claim, envelope
from tests.integration.world import World
from voucher_ledger import cli
from voucher_ledger.produce import command as produce_command
from voucher_ledger.produce import sender as sender_module
from voucher_ledger.produce.clients import known_topics
from voucher_ledger.produce.records import TimedCommand
from voucher_ledger.produce.sender import Sender
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import kafka, topics
from voucher_ledger.runtime.errors import NotSetUp
from voucher_ledger.runtime.settings import Settings, SettingsError
from voucher_ledger.status import command as status_command
from voucher_ledger.status.read import Reader

pytestmark = pytest.mark.integration


def ndjson(directory: Path, *lines: bytes | dict[str, Any]) -> Path:
    source = directory / "commands.ndjson"
    source.write_bytes(b"".join((orjson.dumps(x) if isinstance(x, dict) else x) + b"\n" for x in lines))
    return source


def murmur2(key: bytes) -> int:
    """Kafka's own hash of a key (org.apache.kafka.common.utils.Utils), written down independently."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    digest = 0x9747B28C ^ len(key)
    whole = len(key) // 4 * 4
    for place in range(0, whole, 4):
        word = int.from_bytes(key[place : place + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        digest = (digest * multiplier & mask) ^ word
    if whole < len(key):
        digest = (digest ^ int.from_bytes(key[whole:], "little")) * multiplier & mask
    digest = (digest ^ digest >> 13) * multiplier & mask
    return digest ^ digest >> 15


def test_a_file_is_delivered_under_its_keys_to_the_partitions_of_javas_clients(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = [claim(number) for number in range(200)]
    pause = envelope("campaign.pause", "p", {"campaign_id": "grey", "approved_by": "me", "reason": "checking"})
    assert produce_command.run(world.settings, ndjson(tmp_path, *commands, pause)) == ExitCode.DONE
    assert "201 commands delivered (1 to campaign.commands, 200 to claim.commands)" in capsys.readouterr().out
    records = world.read("claim.commands")
    assert sorted(record.value() or b"" for record in records) == sorted(orjson.dumps(command) for command in commands)
    for record in records:
        key = record.key()
        assert isinstance(key, bytes)
        assert key == orjson.loads(record.value() or b"")["data"]["user_id"].encode()
        assert record.partition() == (murmur2(key) & 0x7FFFFFFF) % 8
    assert len(world.read("campaign.commands")) == 1


def test_skip_invalid_sends_the_rest_of_a_file(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ndjson(tmp_path, claim(1), b"oops", claim(2))
    assert produce_command.run(world.settings, source) == ExitCode.CHECK_FAILED
    assert world.read("claim.commands") == []
    assert produce_command.run(world.settings, source, skip_invalid=True) == ExitCode.DONE
    assert len(world.read("claim.commands")) == 2
    shown = capsys.readouterr()
    assert "2 commands delivered (2 to claim.commands)" in shown.out
    assert shown.out.endswith(", 1 bad line\n")
    assert f"{source}:2: not JSON" in shown.err


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BufferedWriter]:
    """Standard input as a pipe; the end that a test writes to."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "r") as stdin, os.fdopen(writing, "wb") as writer:
        monkeypatch.setattr("sys.stdin", stdin)
        yield writer


def test_a_pipe_is_sent_as_it_comes_up_to_its_first_bad_line(
    world: World, pipe: io.BufferedWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe.write(b"\n".join([orjson.dumps(claim(1)), orjson.dumps(claim(2)), b"oops", orjson.dumps(claim(3)), b""]))
    pipe.close()
    assert produce_command.run(world.settings, Path("-"), rate=1_000.0) == ExitCode.CHECK_FAILED
    assert len(world.read("claim.commands")) == 2
    shown = capsys.readouterr()
    assert "2 commands delivered" in shown.out
    assert "stdin:3: not JSON" in shown.err
    assert "stopped at a bad line" in shown.err


def test_a_line_of_a_pipe_is_delivered_before_the_next_comes(world: World, pipe: io.BufferedWriter) -> None:
    known_topics(world.producer, world.settings.kafka, ["claim.commands"])
    codes: list[int] = []
    producing = threading.Thread(target=lambda: codes.append(produce_command.run(world.settings, Path("-"))))
    producing.start()
    for number in range(3):
        pipe.write(orjson.dumps(claim(number)) + b"\n")
        pipe.flush()
        world.read("claim.commands", number + 1)
    pipe.close()
    producing.join(30)
    assert codes == [ExitCode.DONE]


def make_topics_with_create_time(world: World) -> None:
    # What the broker does not show yet would be taken for absent, and stay as it is.
    known_topics(world.producer, world.settings.kafka, topics.wanted_topics())
    reset_broker(world.settings)
    topics.ensure_topics(world.settings, record_time="CreateTime")


def test_event_time_makes_the_commands_time_the_records(world: World, tmp_path: Path) -> None:
    make_topics_with_create_time(world)
    assert produce_command.run(world.settings, ndjson(tmp_path, claim(1)), event_time=True) == ExitCode.DONE
    (record,) = world.read("claim.commands")
    assert record.timestamp()[1] == 1_770_336_000_000


def test_a_queue_that_is_full_loses_nothing_and_keeps_the_order(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def small(settings: Settings, **overrides: Any) -> dict[str, Any]:
        return {**kafka.producer_config(settings, **overrides), "queue.buffering.max.messages": 50}

    monkeypatch.setattr(sender_module, "producer_config", small)
    sent = [TimedCommand(0, "claim.commands", b"one-key", str(number).encode()) for number in range(1_000)]
    for record_times in (False, True):
        with Sender(world.settings, record_times=record_times) as sender:
            sender.send(sent)
        assert (sender.accepted, sender.failed) == (1_000, 0)
    assert [record.value() for record in world.read("claim.commands")] == [command.value for command in sent] * 2


def test_a_record_that_the_topic_refuses_is_counted_and_named(world: World) -> None:
    with Sender(world.settings) as sender:
        sender.send(
            [
                TimedCommand(0, "claim.commands", b"huge", os.urandom(1_500_000)),  # refused by the broker
                TimedCommand(0, "claim.commands", b"vast", os.urandom(3_000_000)),  # refused by the client
                TimedCommand(0, "claim.commands", b"good", b"x"),
            ]
        )
    assert (sender.accepted, sender.failed, sender.delivered) == (3, 2, 1)
    assert sorted(failure.split(":")[1].strip() for failure in sender.failures) == ["key b'huge'", "key b'vast'"]


def test_a_wrong_kafka_setting_is_told_by_name(world: World, tmp_path: Path) -> None:
    wrong = world.settings.model_copy(update={"kafka_properties": {"no.such.thing": "1"}})
    with pytest.raises(SettingsError, match=r"VOUCHER_LEDGER_KAFKA_\*.*no\.such\.thing"):
        produce_command.run(wrong, ndjson(tmp_path, claim(1)))


def status(world: World, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert status_command.run(world.settings, json=True) == ExitCode.DONE
    shown: dict[str, Any] = orjson.loads(capsys.readouterr().out)
    return shown


def test_status_shows_what_waits_and_since_when(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    fresh = status(world, capsys)
    assert (fresh["lag_records"], fresh["lag_seconds"], fresh["balances"]) == (0, 0.0, [])
    assert {part["topic"] for part in fresh["partitions"]} == {
        "campaign.commands",
        "claim.commands",
        "order.commands",
        "payment.commands",
    }
    world.send("claim.commands", [claim(number) for number in range(100)])
    waiting = status(world, capsys)
    assert waiting["lag_records"] == 100
    assert 0.0 <= waiting["lag_seconds"] < 600
    ages = [part["lag_seconds"] for part in waiting["partitions"] if part["lag_records"]]
    assert ages
    assert None not in ages
    assert status_command.run(world.settings) == ExitCode.DONE
    assert "100 records waiting" in capsys.readouterr().out


def test_every_snapshot_of_one_reader_knows_all_ages(world: World) -> None:
    world.send("claim.commands", [claim(number) for number in range(100)])
    reader = Reader(world.settings, application="test")
    try:
        for _ in range(3):
            waiting = [part for part in reader.snapshot().partitions if part.lag_records]
            assert len(waiting) == 8
            assert None not in [part.lag_seconds for part in waiting]
    finally:
        reader.close()


def test_status_watches_until_it_is_stopped(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    class StopAfterThree(threading.Event):
        looks = 0

        def wait(self, timeout: float | None = None) -> bool:
            assert timeout == status_command.WATCH_SECONDS
            self.looks += 1
            return self.looks == 3

    assert status_command.run(world.settings, watch=True, json=True, stop=StopAfterThree()) == ExitCode.DONE
    assert [min(orjson.loads(line)) for line in capsys.readouterr().out.splitlines()] == ["at"] * 3


def test_status_tells_in_one_line_who_does_not_answer(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voucher_ledger.produce.clients.REQUEST_SECONDS_MAX", 0.2)
    for change, name in (({"kafka": "127.0.0.1:1"}, "Kafka"), ({"postgres": "host=127.0.0.1 port=1"}, "Postgres")):
        for variable, value in (world.settings.model_dump(include={"kafka", "postgres"}) | change).items():
            monkeypatch.setenv(f"VOUCHER_LEDGER_{variable.upper()}", value)
        assert cli.main(["status"]) == ExitCode.UNREACHABLE
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {name} ")
        assert "does not answer" in line


def test_status_of_a_database_without_ledger_names_the_command_that_makes_it(
    world: World,
) -> None:
    world.connection.execute("DROP SCHEMA ledger CASCADE")
    with pytest.raises(NotSetUp, match="`voucher-ledger migrate`"):
        status_command.run(world.settings)

"""How fast the replay verbs read and mark beside live traffic, and how far their bars know that they have come."""

from collections.abc import Iterable
from contextlib import nullcontext
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from tests.unit.records_given import Record
from voucher_ledger import cli
from voucher_ledger.produce.pace import Pace
from voucher_ledger.replay import reading, rebuild, topic_reader, trace_command, verify
from voucher_ledger.replay.bar import Bar
from voucher_ledger.replay.dead_letters import quarantine
from voucher_ledger.replay.dead_letters.marks import MarkKind
from voucher_ledger.replay.operations import Operation
from voucher_ledger.replay.seals import verify as seals_verify
from voucher_ledger.replay.topic_reader import Progress, TopicReader
from voucher_ledger.replay.what_if import command as what_if
from voucher_ledger.replay.what_if import commands_read, recorded
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import settings
from voucher_ledger.runtime.settings import Settings

PLACE = ("claim.events", 0)
RECORDS = 250
SETTINGS = Settings(kafka="nowhere:1", postgres="dbname=nowhere")


class Clock:
    """A clock that goes on only where somebody waits by it."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds

    def time_ns(self) -> int:
        return int(self.seconds * 1e9)

    def go_on(self, seconds: float) -> None:
        self.seconds += seconds

    sleep = go_on


class Stop(Event):
    """Is never set; who waits for it moves the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.go_on(timeout or 0.0)
        return False


class Consumer:
    """A partition of RECORDS records; `most` is what was asked for at once."""

    def __init__(self, configuration: dict[str, Any]) -> None:
        self.configuration = configuration
        self.most = 0
        self._next = 0

    def assign(self, _partitions: Iterable[object]) -> None:
        self._next = 0

    def unassign(self) -> None:
        pass

    def get_watermark_offsets(self, *_: object) -> tuple[int, int]:
        return 0, RECORDS

    def consume(self, count: int, _seconds: float) -> list[Record]:
        self.most = max(self.most, count)
        if self._next == RECORDS:
            return [Record(PLACE, RECORDS, KafkaError._PARTITION_EOF)]
        first, self._next = self._next, min(RECORDS, self._next + count)
        return [Record(PLACE, offset) for offset in range(first, self._next)]


class Seen(Progress):
    def __init__(self) -> None:
        self.expected, self.advanced = 0, 0

    def expect(self, count: int) -> None:
        self.expected += count

    def advance(self, count: int) -> None:
        self.advanced += count


def read_at(rate: float | None, monkeypatch: pytest.MonkeyPatch, progress: Progress) -> tuple[Clock, Consumer]:
    clock = Clock()
    made: list[Consumer] = []

    def open_consumer(_kind: object, given: dict[str, Any]) -> Consumer:
        made.append(Consumer(given))
        return made[0]

    monkeypatch.setattr(topic_reader, "time", clock)
    monkeypatch.setattr(topic_reader, "open_client", open_consumer)
    reader = TopicReader(SETTINGS, Stop(clock), progress, rate)
    assert [record.offset() for record in reader.read({PLACE: 0})] == list(range(RECORDS))
    return clock, made[0]


@pytest.mark.parametrize(("rate", "seconds"), [(None, 0.0), (100.0, 2.51), (10.0, 25.1)])
def test_a_reader_of_whole_topics_keeps_to_its_rate_and_reads_little_ahead(
    rate: float | None, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, consumer = read_at(rate, monkeypatch, Progress())
    assert clock.seconds - 100.0 == pytest.approx(seconds)
    ahead = consumer.configuration["queued.min.messages"]
    assert (consumer.most, ahead) == ((10_000, 20_000) if rate is None else (max(1, rate // 50),) * 2)


def test_a_wait_for_the_rate_is_no_silence_of_the_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_reader, "SILENCE_SECONDS_MAX", 0.5)
    read_at(1.0, monkeypatch, Progress())


def test_a_bar_is_told_of_all_that_is_to_be_read_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen()
    read_at(None, monkeypatch, seen)
    assert (seen.expected, seen.advanced) == (RECORDS, RECORDS + 1)  # the end of a partition comes as a record
    bar = Bar("reading", None)
    bar.expect(10)
    bar.expect(5)
    assert [task.total for task in bar._bar.tasks] == [15]


def test_what_if_reads_at_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(reading, "time", clock)
    assert list(reading.paced(range(50), 10.0)) == list(range(50))
    assert clock.seconds - 100.0 == pytest.approx(5.0)
    assert list(reading.paced(range(50), None)) == list(range(50))
    assert clock.seconds - 100.0 == pytest.approx(5.0)
    nothing: Any = None
    for module in (commands_read, recorded):
        monkeypatch.setattr(module, "paced", ask)
        monkeypatch.setattr(module, "spans", lambda *_: [])
    with pytest.raises(Asked, match=r"^7\.0$"):
        commands_read.openings(SETTINGS, [], 7.0)
    with pytest.raises(Asked, match=r"^7\.0$"):
        commands_read.CommandsRead(SETTINGS, [], nothing, nothing, 7.0)
    with pytest.raises(Asked, match=r"^7\.0$"):
        recorded.count_recorded(SETTINGS, nothing, nothing, 7.0)


def test_letters_are_quarantined_at_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(quarantine, "time", clock)
    producer: Any = SimpleNamespace(begin=lambda: None, send=lambda *_: None, commit=lambda: None)
    letters: Any = [SimpleNamespace(place=(0, offset), value=b"") for offset in range(10)]
    operation = Operation("1", "dead-letters quarantine", "a person", "why")
    pace = Pace(100.0, clock.monotonic)
    assert list(quarantine.mark_all(letters, MarkKind.QUARANTINED, producer, operation, pace)) == [2, 4, 6, 8, 10]
    assert clock.seconds - 100.0 == pytest.approx(0.1)


class Asked(Exception):
    """The rate with which a verb began to read."""


def ask(*arguments: Any, rate: float | None = None) -> None:
    raise Asked(rate if rate is not None else next(filter(None, map(rate_of, reversed(arguments))), None))


def rate_of(argument: object) -> float | None:
    found = argument if isinstance(argument, float) else getattr(argument, "rate", None)
    return found if isinstance(found, float) else None


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify",), ("verify", "--seals"), ("rebuild", "--into", "dbname=new"), ("trace", "ana", "--scan"),
        ("what-if",),
    ],
)  # fmt: skip
def test_each_verb_that_reads_whole_topics_takes_a_rate(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "load", lambda: SETTINGS)
    for module in (verify, seals_verify, rebuild, trace_command):
        monkeypatch.setattr(module, "TopicReader", ask)
        monkeypatch.setattr(module, "postgres", SimpleNamespace(connect=lambda *_, **__: nullcontext()))
    monkeypatch.setattr(rebuild, "refuse_unless_empty", lambda _connection: None)
    monkeypatch.setattr(trace_command, "find", lambda *_, **__: None)
    monkeypatch.setattr(what_if, "_day", ask)
    with pytest.raises(Asked, match=r"^500\.0$"):
        cli.main(["replay", *arguments, "--rate", "500"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("trace", "ana", "--rate", "5"), "nothing is read at length without --scan"),
        (("rebuild", "--into", "dbname=new", "--apply"), "--apply changes something: say why"),
        (("rebuild", "--into", "dbname=new", "--apply", "--reason", " "), "--apply changes something: say why"),
    ],
)
def test_what_is_refused_before_anything_is_read(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(settings, "load", lambda: SETTINGS)
    monkeypatch.setattr(rebuild, "begun", lambda *_: pytest.fail("it was begun"))
    assert cli.main(["replay", *arguments]) == ExitCode.USAGE
    assert told in capsys.readouterr().err

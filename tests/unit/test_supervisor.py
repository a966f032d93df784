"""`run all` with a monitor that cannot run, and in an outage: the rooms go on, and what rests comes back."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from voucher_ledger import cli
from voucher_ledger.run import supervisor
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.run.single import Stopping, stop_on_signals
from voucher_ledger.run.supervisor import MONITOR, RESTARTS_MAX, Worker, supervise

FOREVER = "import time; time.sleep(600)"


class Given(Worker):
    """A worker that ends with each of these codes in turn; one that `stops` does so to all with its last start."""

    codes: list[int]
    stopping: Stopping
    stops: bool

    def start(self) -> None:
        code = self.codes.pop(0) if self.codes else None
        program = FOREVER if code is None else f"raise SystemExit({code})"
        self.process = subprocess.Popen([sys.executable, "-S", "-E", "-c", program])
        self.again_at = None
        self.starts.append(time.monotonic())
        if code is None and self.stops:
            self.stopping.set()


def given(
    room: str, codes: Iterable[int], stopping: Stopping, *, stops: bool = False, instance: str | None = None
) -> Given:
    made = Given(room, instance)
    made.codes, made.stopping, made.stops = [*codes], stopping, stops or room == MONITOR
    return made


@pytest.fixture(autouse=True)
def same_signals() -> Iterator[None]:
    """What handles signals is the process's own again after each test: a supervisor leaves its own behind."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("codes", [[ExitCode.INSTANCE_TAKEN] * 2, [ExitCode.FAILED] * (RESTARTS_MAX + 2)])
def test_a_monitor_that_cannot_run_now_rests_and_comes_back(codes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "RESTART_WINDOW_SECONDS", 0.3)
    stopping = Stopping()
    crew: list[Worker] = [given("claims", [], stopping), given(MONITOR, codes, stopping)]
    assert supervise(crew, stopping) == ExitCode.DONE
    assert crew[0].process is not None
    assert len(crew[0].starts) == 1, "the room was left alone"


@pytest.fixture
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "WATCH_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "OUTAGE_REST_SECONDS", 0.01)
    monkeypatch.setattr(supervisor, "OUTAGE_REST_SECONDS_MAX", 0.04)


def rests_of(told: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int, float]]:
    """What the log says of outages: level, room, exit code and seconds, of each line."""
    return [
        (line["log_level"], line["room"], line["exit_code"], line["after_seconds"])
        for line in told
        if line["event"] == "worker cannot reach Kafka or Postgres, starting it again"
    ]


@pytest.mark.parametrize("room", ["claims", MONITOR])
@pytest.mark.usefixtures("short_rests")
def test_an_outage_of_many_deaths_is_outlived(room: str) -> None:
    """With Postgres away for half a minute all ended for good, so that nothing ran once it was back."""
    stopping = Stopping()
    deaths = RESTARTS_MAX + 2
    worker = given(room, [ExitCode.UNREACHABLE] * deaths, stopping, stops=True)
    with capture_logs() as told:
        assert supervise([worker], stopping) == ExitCode.DONE
    assert rests_of(told) == [("warning", room, 3, seconds) for seconds in (0.01, 0.02, *[0.04] * (deaths - 2))]
    assert worker.process is not None
    assert len(worker.starts) == 1, "those that the outage ended are not counted"


@pytest.mark.usefixtures("short_rests")
def test_other_deaths_are_counted_through_an_outage() -> None:
    """They end all within a minute, whatever came between."""
    codes = [ExitCode.UNREACHABLE, *[ExitCode.FAILED, ExitCode.UNREACHABLE] * RESTARTS_MAX, ExitCode.FAILED]
    stopping = Stopping()
    worker = given("claims", codes, stopping, stops=True)
    with capture_logs() as told:
        assert supervise([worker], stopping) == ExitCode.FAILED
    assert {seconds for *_, seconds in rests_of(told)} == {0.01}, "each ended by another code: the rests begin anew"


@pytest.mark.parametrize(("reached", "bound"), [(True, "OUTAGE_SECONDS_MAX"), (False, "UNREACHED_SECONDS_MAX")])
@pytest.mark.usefixtures("short_rests")
def test_an_outage_past_its_bound_ends_all(reached: bool, bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is short for who never reached anything: with a wrong address nobody waits for ten minutes."""
    monkeypatch.setattr(supervisor, bound, 0.0)
    stopping = Stopping()
    worker = given("claims", [ExitCode.UNREACHABLE] * 9, stopping, stops=True)
    worker.reached = reached
    with capture_logs() as told:
        assert supervise([worker], stopping) == ExitCode.UNREACHABLE
    assert len(rests_of(told)) == 1
    assert [(line["event"], line["room"]) for line in told if line["log_level"] == "error"] == [
        ("worker cannot reach Kafka or Postgres, stopping all", "claims")
    ]


@pytest.mark.usefixtures("short_rests")
def test_the_monitors_outage_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "OUTAGE_SECONDS_MAX", 0.0)
    stopping = Stopping()
    crew: list[Worker] = [given("claims", [], stopping), given(MONITOR, [ExitCode.UNREACHABLE] * 3, stopping)]
    assert supervise(crew, stopping) == ExitCode.DONE
    assert len(crew[0].starts) == 1


@pytest.mark.usefixtures("short_rests")
def test_who_lived_long_begins_another_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "OUTAGE_SECONDS_MAX", 0.0)
    monkeypatch.setattr(supervisor, "OUTAGE_LIFE_SECONDS", 0.0)
    stopping = Stopping()
    worker = given("claims", [ExitCode.UNREACHABLE] * 3, stopping, stops=True)
    with capture_logs() as told:
        assert supervise([worker], stopping) == ExitCode.DONE
    assert [seconds for *_, seconds in rests_of(told)] == [0.01] * 3


def test_a_monitor_with_wrong_settings_is_left_out_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    stopping = Stopping()
    monitor = given(MONITOR, [ExitCode.USAGE], stopping)
    left_out = monkeypatch.setattr
    spared: list[bool] = []

    def spare(worker: Worker, code: int, told: Any = supervisor._spare) -> bool:
        spared.append(told(worker, code))
        stopping.set()
        return spared[-1]

    left_out(supervisor, "_spare", spare)
    assert supervise([given("claims", [], stopping), monitor], stopping) == ExitCode.DONE
    assert spared == [True]
    assert (monitor.process, monitor.again_at) == (None, None)


def test_a_room_with_wrong_settings_still_ends_all() -> None:
    stopping = Stopping()
    with capture_logs() as told:
        assert supervise([given("claims", [ExitCode.USAGE], stopping)], stopping) == ExitCode.USAGE
    assert [line["event"] for line in told] == [
        "worker cannot run: its settings or the set-up are wrong, stopping all"
    ], "it died once, and keeps nothing"


@pytest.mark.parametrize(("options", "wanted"), [([], True), (["--no-monitor"], False)])
def test_run_all_starts_the_monitor_unless_told_not_to(
    options: list[str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, int]] = []

    def workers(_settings: Any, counts: dict[str, int]) -> list[Worker]:
        asked.append(counts)
        return []

    monkeypatch.setattr(supervisor, "workers", workers)
    monkeypatch.setattr(supervisor, "supervise", lambda *_: ExitCode.DONE)
    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("VOUCHER_LEDGER_POSTGRES", "host=127.0.0.1 port=1")
    assert cli.main(["run", "all", *options]) == ExitCode.DONE
    (counts,) = asked
    assert (MONITOR in counts) == wanted
    assert counts["sweeper"] == 1


def test_the_monitor_takes_no_port_of_the_metrics() -> None:
    crew = supervisor._with_ports([Worker("claims", "claims-0"), Worker("sweeper", None), Worker(MONITOR, None)], 9_100)
    assert [worker.metrics_port for worker in crew] == [9_100, 9_101, 0]
    assert [
        worker.metrics_port for worker in supervisor._with_ports([Worker("a", None), Worker(MONITOR, None)], 65_535)
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_log_says_which_signal_ended_all(number: signal.Signals) -> None:
    """An end that nobody meant could not be told from one that was sent."""
    stopping = stop_on_signals()
    os.kill(os.getpid(), number)
    with capture_logs() as told:
        assert supervise([given("claims", [], stopping)], stopping) == ExitCode.DONE
    assert [(line["event"], line["signal"]) for line in told] == [("told to stop, ending all", number.name)]


@pytest.mark.parametrize("first", [[], [ExitCode.UNREACHABLE]], ids=["two began at once", "lost in an outage"])
@pytest.mark.usefixtures("short_rests")
def test_a_name_that_was_chosen_here_and_taken_by_another_gives_way_to_a_free_one(first: list[int]) -> None:
    """It ended all rooms of one `run all`, because another had begun beside it."""
    stopping = Stopping()
    crew: list[Worker] = [
        given("orders", [], stopping, instance="orders-0"),
        given("claims", [*first, ExitCode.INSTANCE_TAKEN], stopping, stops=True, instance="claims-0"),
    ]
    assert supervise(crew, stopping) == ExitCode.DONE
    assert [worker.instance for worker in crew] == ["orders-0", None]


@pytest.mark.usefixtures("short_rests")
def test_no_name_left_ends_all() -> None:
    stopping = Stopping()
    crew: list[Worker] = [given("claims", [ExitCode.INSTANCE_TAKEN] * 2, stopping, stops=True, instance="claims-0")]
    with capture_logs() as told:
        assert supervise(crew, stopping) == ExitCode.INSTANCE_TAKEN
    assert told[-1]["event"] == "worker cannot run: no instance name is free, stopping all"

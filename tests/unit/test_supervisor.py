"""`run all` with a monitor that cannot run: the rooms go on, and it comes back when it can."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
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
    """A worker that ends with each of these codes in turn, and stops all once it is started for the last time."""

    codes: list[int]
    stopping: Stopping

    def start(self) -> None:
        code = self.codes.pop(0) if self.codes else None
        program = FOREVER if code is None else f"raise SystemExit({code})"
        self.process = subprocess.Popen([sys.executable, "-S", "-E", "-c", program])
        self.again_at = None
        self.starts.append(time.monotonic())
        if code is None and self.room == MONITOR:
            self.stopping.set()


def given(room: str, codes: Iterable[int], stopping: Stopping) -> Given:
    made = Given(room, None)
    made.codes, made.stopping = [*codes], stopping
    return made


@pytest.mark.parametrize("codes", [[ExitCode.INSTANCE_TAKEN] * 2, [ExitCode.UNREACHABLE] * (RESTARTS_MAX + 2)])
def test_a_monitor_that_cannot_run_now_rests_and_comes_back(codes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "RESTART_WINDOW_SECONDS", 0.3)
    stopping = Stopping()
    crew: list[Worker] = [given("claims", [], stopping), given(MONITOR, codes, stopping)]
    assert supervise(crew, stopping) == ExitCode.DONE
    assert crew[0].process is not None
    assert len(crew[0].starts) == 1, "the room was left alone"


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
    assert supervise([given("claims", [ExitCode.USAGE], stopping)], stopping) == ExitCode.USAGE


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
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        stopping = stop_on_signals()
        os.kill(os.getpid(), number)
        with capture_logs() as told:
            assert supervise([given("claims", [], stopping)], stopping) == ExitCode.DONE
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert [(line["event"], line["signal"]) for line in told] == [("told to stop, ending all", number.name)]

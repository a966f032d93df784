"""The demo, small."""

import os
import re
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from threading import Event

import psutil
import pytest
from rich.console import Console

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.world import World
from voucher_ledger.demo import second_wave
from voucher_ledger.demo.stage import built
from voucher_ledger.dev import cluster

pytestmark = pytest.mark.integration

CLAIMS = 3_000
CARDS = 500


def start_demo(directory: Path) -> subprocess.Popen[str]:
    # Settings for another cluster must not reach the demo's own.
    foreign = {
        "VOUCHER_LEDGER_KAFKA_SECURITY_PROTOCOL": "ssl",
        "VOUCHER_LEDGER_POSTGRES": "postgresql://nowhere.invalid/x",
    }
    options = ["--claims", str(CLAIMS), "--cards", str(CARDS), "--dir", str(directory)]
    return subprocess.Popen(
        [sys.executable, "-m", "voucher_ledger", "demo", *options], env={**os.environ, **foreign}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.timeout(400)
def test_a_small_demo_passes_its_own_checks_and_leaves_nothing_running(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    demo = start_demo(directory)
    output, _ = demo.communicate(timeout=390)
    assert demo.returncode == 0, output
    assert re.search(r"killed claims-\d \(pid \d+\) after [\d,]+ claims", output), output
    assert re.search(r"claims-\d \(pid \d+\) has taken over: decided again after \d+\.\d s", output), output
    assert re.search(rf"granted exactly {CARDS}\s+│ passed │ {CARDS} in the ledger, {CARDS} in the events", output)
    assert re.search(r"event topics: every command answered exactly once\s+│ passed", output), output
    assert re.search(r"every row of the ledger is what the events tell\s+│ passed", output), output
    assert re.search(r"audit of the ledger\s+│ passed", output), output
    assert re.search(r"Kafka at 127\.0\.0\.1:\d+ and Postgres at \S+", output), output
    assert re.search(r"the live page: http://127\.0\.0\.1:\d+/", output), output
    assert "sold_out" in output
    assert "voucher.expired" in output
    assert "Dead letters by reason" in output
    assert "all checks passed" in output
    assert not cluster.status(directory).running


@pytest.mark.timeout(400)
def test_ctrl_c_stops_all_that_the_demo_started(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    demo = start_demo(directory)
    assert demo.stdout is not None
    for line in demo.stdout:
        if "claims sent" in line:
            break
    started = psutil.Process(demo.pid).children(recursive=True)
    assert any("claims-0" in process.cmdline() for process in started)
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 130, output
    assert "interrupted" in output
    assert psutil.wait_procs(started, timeout=WAIT_SECONDS_MAX)[1] == []
    found = cluster.status(directory)
    assert (found.kafka_pid, found.postgres_pid) == (None, None)


@pytest.mark.timeout(400)
def test_a_small_second_wave_passes_its_own_checks(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `demo --scenario second-wave`, on servers that are there, with shorter lives."""
    for name, seconds in (("VOUCHER_SECONDS_MIN", 8), ("HOLD_SECONDS", 4), ("LAST_TRANCHE_SECONDS", 2)):
        monkeypatch.setattr(second_wave, name, seconds)
    monkeypatch.setattr("voucher_ledger.demo.closing.MARGIN_SECONDS", 1.0)
    console = Console(file=StringIO(), width=180)
    with built(world.settings, tmp_path, console, Event()) as stage:
        passed = second_wave.SecondWave(claims=2_000, cards=770, seed=1).play(stage)
    assert isinstance(console.file, StringIO)
    output = console.file.getvalue()
    assert passed, output
    assert re.search(r"claims-\d \(pid \d+\) has taken over", output), output
    assert "claimants wait: the campaign is closed" in output, output
    admitted, told = (
        int(re.findall(rf"{row}\D*│\s+([\d,]+) │", output)[0].replace(",", ""))
        for row in ("admitted: a tranche came, or a voucher came back", "told the end")
    )
    assert admitted > 0
    assert told > 0
    assert world.connection.execute("SELECT count(DISTINCT category) FROM ledger.reservation").fetchone() == (10,)

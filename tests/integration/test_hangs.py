"""Kafka's client does not return from a call: the process ends loudly, and its successor goes on exactly once."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import orjson
import pytest

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.proxies import BeforeKafka, GoneAtOffsets
from tests.integration.world import CHILD, World
from voucher_ledger.run.exit_codes import ExitCode

pytestmark = pytest.mark.integration

CLAIMS = 500
# A sweeper that is watched: no turn may take 1.5 s. Its third round hangs, or it stops after two hundred of them.
SWEEPER = """
import sys
import threading
from functools import partial
from voucher_ledger.runtime import hangs, logs, settings
from voucher_ledger.sweeper import loop

logs.configure()
hangs.LOOK_SECONDS = 0.01
loop.ROUND_SECONDS = loop.STANDBY_SECONDS = 0.01
stopping, rounds, round_once = threading.Event(), [], loop.Sweep.round

def counted(sweep):
    rounds.append(None)
    if len(rounds) == 3 and sys.argv[1] == "hangs":
        threading.Event().wait()
    if len(rounds) == 200:
        stopping.set()
    return round_once(sweep)

loop.Sweep.round = counted
loop.TurnWatch = partial(hangs.TurnWatch, 1.5)
loop.run(settings.load(), stopping)
"""


def left_alone(_process: subprocess.Popen[bytes]) -> None:
    """Nobody stops it."""


def terminated(process: subprocess.Popen[bytes]) -> None:
    """Somebody stops it, as run all does."""
    process.send_signal(signal.SIGTERM)


def kafka_of(world: World) -> tuple[str, int]:
    """Where the broker itself is reached."""
    host, port = world.settings.kafka.split(":")
    return host, int(port)


def hung(world: World, *arguments: str) -> tuple[GoneAtOffsets, subprocess.Popen[bytes]]:
    """A Python with these arguments, whose Kafka is gone since it sent the offsets of its first claims."""
    world.open_campaign()
    world.send("claim.commands", [claim(number) for number in range(CLAIMS)])
    proxy = GoneAtOffsets(kafka_of(world))
    through = {"VOUCHER_LEDGER_KAFKA": f"127.0.0.1:{proxy.port}", "VOUCHER_LEDGER_TRANSACTION_TIMEOUT_MS": "2000"}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env={**os.environ, **world.variables(), **through},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    world.children.append(process)
    assert proxy.gone.wait(WAIT_SECONDS_MAX)
    return proxy, process


@pytest.mark.parametrize("after_that", [left_alone, terminated])
def test_a_publisher_that_hangs_ends_its_process(
    world: World, after_that: Callable[[subprocess.Popen[bytes]], None]
) -> None:
    """The broker goes away between the two requests that send a transaction's offsets: librdkafka keeps no timeout."""
    _, process = hung(world, str(CHILD), "claims", "--instance=claims-0")
    after_that(process)
    _, told = process.communicate(timeout=WAIT_SECONDS_MAX)
    assert process.returncode == ExitCode.HUNG
    last = orjson.loads(told.splitlines()[-1])
    assert (last["level"], last["what"]) == ("critical", "the publisher of claims-0")
    assert "_publish publisher.py" in last["threads"]["publish-claims-0"]
    world.spawn("claims", instance="claims-0")
    world.outcomes("claim", CLAIMS)
    assert world.faults() == []


def test_run_all_starts_again_what_hung(world: World) -> None:
    """The whole of it: the claims processor ends by itself, run all tells of it and starts it again, and it goes on."""
    proxy, process = hung(world, "-m", "voucher_ledger", "run", "all", "--no-monitor")
    assert process.stderr is not None
    died = next(
        orjson.loads(line) for line in process.stderr if b"worker died" in line or b"worker keeps dying" in line
    )
    assert (died["event"], died["room"], died["exit_code"]) == (
        "worker died, starting it again", "claims", ExitCode.HUNG,
    )  # fmt: skip
    rest = threading.Thread(target=process.stderr.read, daemon=True)  # what nobody reads would fill the pipe
    rest.start()
    back = BeforeKafka(kafka_of(world), proxy.port)
    world.outcomes("claim", CLAIMS)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_SECONDS_MAX) == ExitCode.DONE
    rest.join(WAIT_SECONDS_MAX)
    process.stderr.close()
    back.close()
    assert world.faults() == []


@pytest.mark.parametrize(("way", "code"), [("hangs", ExitCode.HUNG), ("turns", ExitCode.DONE)])
def test_a_sweeper_that_hangs_ends_its_process(world: World, way: str, code: ExitCode) -> None:
    """One that turns goes on for longer than a turn may take."""
    process = subprocess.run(
        [sys.executable, "-c", SWEEPER, way],
        env={**os.environ, **world.variables()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=WAIT_SECONDS_MAX,
        check=False,
    )
    assert process.returncode == code, process.stderr.decode()
    last = orjson.loads(process.stderr.splitlines()[-1])
    if code == ExitCode.HUNG:
        assert (last["level"], last["what"]) == ("critical", "the loop")
        assert "counted <string>" in last["threads"]["MainThread"]

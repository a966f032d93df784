"""The monitor against a real Kafka, a real Postgres, real processors and a real browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.prometheus import lint_metrics
from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.browser import CHROMIUM, Browser
from tests.integration.commands import FACE_MINOR, claim
from tests.integration.world import World
from tests.unit.demand_given import record, row
from voucher_ledger.core.clock import milliseconds
from voucher_ledger.core.demand import DEMAND_TOPIC
from voucher_ledger.monitor.metrics import CATALOGUE, PREFIX
from voucher_ledger.report import command
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.kafka import producer_config

pytestmark = pytest.mark.integration

QUOTA = 40
FAR_FUTURE = "2100-01-01T00:00:00Z"


class Monitor:
    """`voucher-ledger run monitor` in a process of its own, on an address of its own."""

    def __init__(self, world: World) -> None:
        self._world = world
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        variables = {**os.environ, **self._world.variables(), "VOUCHER_LEDGER_MONITOR_ADDRESS": self.address}
        command = [sys.executable, "-m", "voucher_ledger", "run", "monitor"]
        with log.open("wb") as stderr:
            process = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL, stderr=stderr)
        self._world.children.append(process)
        return process

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
            body: bytes = answer.read()
            return body

    def wait(self, fits: Callable[[dict[str, Any]], bool], log: Path) -> dict[str, Any]:
        """The state, once it fits."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        state: dict[str, Any] = {}
        while time.monotonic() < deadline:
            try:
                state = orjson.loads(self.get("/state.json?campaign=grey"))
            except (urllib.error.URLError, ConnectionError):
                continue
            if state["campaign"] is not None and fits(state):
                return state
        raise AssertionError(f"not within {WAIT_SECONDS_MAX} s: {state}\n{log.read_text()}")


def grants(state: dict[str, Any]) -> int:
    return int(state["campaign"]["outcomes"].get("voucher.granted", 0))


def outcomes(state: dict[str, Any]) -> tuple[int, int]:
    """Grants and refusals: the partitions' rollups come one after another."""
    return grants(state), int(state["campaign"]["outcomes"].get("voucher.rejected", 0))


def fires(state: dict[str, Any], alert: str, subject: str) -> bool:
    return (alert, subject) in [(one["alert"], one["subject"]) for one in state["alerts"]]


def answered(world: World, count: int) -> dict[str, Counter[int]]:
    """The answers to claims by type and second, counted by hand from the events."""
    found: dict[str, Counter[int]] = {}
    for event in world.outcomes("claim", count):
        found.setdefault(event["type"], Counter())[milliseconds(event["time"]) // 1_000] += 1
    return found


def windows(state: dict[str, Any], name: str) -> dict[int, float]:
    """The page's windows of five seconds that hold something."""
    curve = state["campaign"]["recent"]
    return {at: round(rate * 5) for at, rate in zip(curve["at"], curve[name], strict=True) if rate}


def by_hand(seconds: Counter[int]) -> dict[int, int]:
    found = Counter[int]()
    for second, count in seconds.items():
        found[second - second % 5] += count
    return dict(found)


def abort_demand(world: World) -> None:
    """Rollups of a transaction that is aborted: nobody may count them."""
    producer = Producer({**producer_config(world.settings), "transactional.id": "aborts"})
    producer.init_transactions(WAIT_SECONDS_MAX)
    producer.begin_transaction()
    producer.produce(DEMAND_TOPIC, record([row(0, count=1_000)], 1, "claim.commands/7"), b"grey")
    producer.flush(WAIT_SECONDS_MAX)
    producer.abort_transaction(WAIT_SECONDS_MAX)


def told(world: World) -> list[tuple[str, str, str, str]]:
    events = [orjson.loads(record.value() or b"") for record in world.read("ledger.alerts")]
    return [
        (event["data"]["alert"], event["data"]["subject"], event["data"]["severity"], event["type"]) for event in events
    ]


def see_restart(browser: Browser, kill: Callable[[], None], restart: Callable[[], None]) -> None:
    """The page draws, tells that the monitor is gone, and goes on by itself when it is back."""
    drawn = "['demand', 'burn-down'].every((name) => document.querySelector(`#${name} canvas`)?.width > 300)"
    browser.wait(drawn)
    browser.wait("document.querySelector('#tiles').textContent.includes('of 40')")
    for width in (390, 1_280):
        browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        browser.wait(f"innerWidth === {width} && document.documentElement.scrollWidth <= innerWidth")
    hosts = browser.evaluate("performance.getEntriesByType('resource').every((one) => one.name.startsWith(origin))")
    assert hosts, "something was loaded from elsewhere"
    kill()
    browser.wait("document.querySelector('#freshness').className === 'lost'")
    restart()
    browser.wait("document.querySelector('#freshness').className === 'live'")
    browser.wait("document.querySelector('#alerts').textContent.includes('100.0% of the budget')")
    browser.wait("document.querySelector('#reasons').textContent.includes('sold_out')")
    browser.wait(drawn)


def compare_report(world: World, state: dict[str, Any], out: Path) -> None:
    """The report tells what the page told, from one file, and draws it in another."""
    png = out.with_suffix(".png")
    assert command.run(world.settings, "grey", out, png) == ExitCode.DONE
    assert png.read_bytes().startswith(b"\x89PNG")
    text = out.read_text(encoding="utf-8")
    whole = orjson.loads(text.partition('id="state">')[2].partition("</script>")[0])
    told = whole["campaign"]
    assert whole["crossing"]["at"] is not None, "users across verticals were counted: nobody has ordered"
    for name in ("outcomes", "reasons", "tiers", "cards_left"):
        assert told[name] == state["campaign"][name]
    assert command.run(world.settings, "nobody's", out) == ExitCode.USAGE
    if CHROMIUM is not None:
        with Browser(out.as_uri()) as browser:
            browser.wait("document.querySelector('#demand canvas')?.width > 300")
            assert browser.evaluate("performance.getEntriesByType('resource').length") == 0


def refuse_a_second(world: World, log: Path) -> None:
    assert Monitor(world).start(log).wait(WAIT_SECONDS_MAX) == ExitCode.INSTANCE_TAKEN
    assert b"another monitor runs on this ledger" in log.read_bytes()


def refuse_a_taken_address(world: World, log: Path) -> None:
    monitor = Monitor(world)
    host, _, port = monitor.address.partition(":")
    with socket.socket() as taken:
        taken.bind((host, int(port)))
        taken.listen()
        assert monitor.start(log).wait(WAIT_SECONDS_MAX) == ExitCode.USAGE
    assert b"MONITOR_ADDRESS" in log.read_bytes()


def test_killed_and_started_again_it_shows_what_a_count_by_hand_shows(world: World, tmp_path: Path) -> None:
    monitor, first, second = Monitor(world), tmp_path / "first", tmp_path / "second"
    running = [monitor.start(first)]
    world.open_campaign(quota=QUOTA, budget_minor=QUOTA * FACE_MINOR, ends_at=FAR_FUTURE)
    world.spawn("claims")
    world.send("claim.commands", [claim(number) for number in range(33)])
    abort_demand(world)
    world.send_raw(DEMAND_TOPIC, [(b"grey", b"rubbish")])
    # 82.5 % of the budget: the first alert is told before the kill.
    monitor.wait(lambda state: grants(state) == 33 and fires(state, "budget", "80"), first)

    def kill() -> None:
        running[0].kill()
        running[0].wait()
        world.send("claim.commands", [claim(number) for number in range(33, 60)])
        world.wait_answered("claim.commands", 60)

    def restart() -> None:
        running.append(monitor.start(second))

    if CHROMIUM is None:
        kill()
        restart()
    else:
        with Browser(f"http://{monitor.address}/") as browser:
            see_restart(browser, kill, restart)
    state = monitor.wait(lambda state: outcomes(state) == (QUOTA, 60 - QUOTA) and fires(state, "budget", "95"), second)
    seconds = answered(world, 60)
    assert windows(state, "granted") == by_hand(seconds["voucher.granted"])
    assert windows(state, "refused") == by_hand(seconds["voucher.rejected"])
    assert state["campaign"]["reconciliation"]["difference"] == 0
    left = [cards for cards in state["campaign"]["burn_down"]["left"] if cards is not None]
    assert (left[0], left[-1], state["campaign"]["cards_left"]) == (QUOTA, 0, 0)
    assert {one["reason"]: one["total"] for one in state["campaign"]["reasons"]} == {"sold_out": 60 - QUOTA}

    samples = {
        (sample.name, sample.labels.get("alert"), sample.labels.get("subject")): sample.value
        for family in text_string_to_metric_families(monitor.get("/metrics").decode())
        for sample in family.samples
    }
    assert samples[f"{PREFIX}_alert_firing", "budget", "95"] == 1
    if shutil.which("promtool") is not None:
        assert lint_metrics(monitor.get("/metrics")) == ""
    assert {name for name, _, _ in samples} <= {f"{PREFIX}_{entry.name}" for entry in CATALOGUE}
    assert (monitor.get("/healthz"), monitor.get("/readyz")) == (b"ok\n", b"ok\n")
    beginnings = Counter(told(world))
    assert {
        ("budget", "80", "warning", "alert.firing"),
        ("budget", "95", "critical", "alert.firing"),
    } <= beginnings.keys()
    assert set(beginnings.values()) == {1}, "an alert that fired before the kill is not told again"
    refuse_a_second(world, tmp_path / "second one")
    running[-1].terminate()
    assert running[-1].wait(WAIT_SECONDS_MAX) == ExitCode.DONE
    refuse_a_taken_address(world, tmp_path / "no address")
    compare_report(world, state, tmp_path / "report.html")
    if CHROMIUM is None:
        pytest.skip("all held, but no chromium is installed to look at the page (Debian: apt-get install chromium)")

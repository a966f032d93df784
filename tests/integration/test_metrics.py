"""The metrics of `run all` and a day: each process on its own port, and what they tell is what happened."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.contract.prometheus import lint_metrics
from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.world import World
from voucher_ledger.dev.ports import is_free
from voucher_ledger.metrics import catalogue
from voucher_ledger.metrics.ledger import LedgerCollector
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.simulate import command as simulate_command

pytestmark = pytest.mark.integration

# In the order of `run all`.
PROCESSES = ("campaigns", "claims", "orders", "payments", "sweeper")


def free_base() -> int:
    """The first of so many free ports in a row, and one more."""
    return next(
        base
        for base in range(24_000 + os.getpid() % 4_000, 29_990)
        if all(is_free(base + number) for number in range(len(PROCESSES) + 1))
    )


def run_all(world: World, port: int, monitor_port: int | None = None) -> subprocess.Popen[bytes]:
    """`voucher-ledger run all`, as an operator starts it; with the monitor where a port for that is given."""
    variables = {**os.environ, **world.variables(), "VOUCHER_LEDGER_METRICS_PORT": str(port)}
    command = [sys.executable, "-m", "voucher_ledger", "run", "all"]
    if monitor_port is None:
        command.append("--no-monitor")
    else:
        variables["VOUCHER_LEDGER_MONITOR_ADDRESS"] = f"127.0.0.1:{monitor_port}"
    started = subprocess.Popen(command, env=variables, stdin=subprocess.DEVNULL)
    world.children.append(started)
    return started


def get(port: int, path: str) -> tuple[int, str]:
    """Status and text; (0, reason) where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=15) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def scrape(port: int) -> list[Sample]:
    status, text = get(port, "/metrics")
    assert status == 200
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def wait(world: World, reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not reached():
        world.connection.execute("SELECT pg_sleep(0.1)")
        assert time.monotonic() < deadline, f"no {what} within {WAIT_SECONDS_MAX} s"


def test_what_the_processes_tell_is_what_happened(world: World) -> None:
    base = free_base()
    ports = {name: base + number for number, name in enumerate(PROCESSES)}
    monitor_port = base + len(PROCESSES)
    supervisor = run_all(world, base, monitor_port)
    for name, port in ports.items():
        wait(world, lambda port=port: get(port, "/readyz")[0] == 200, f"ready {name}")  # type: ignore[misc]
        assert get(port, "/healthz") == (200, "alive\n")
    assert get(ports["claims"], "/readyz")[1] == "ready: claim.commands [0, 1, 2, 3, 4, 5, 6, 7]\n"
    wait(world, lambda: get(monitor_port, "/readyz") == (200, "ok\n"), "ready monitor")
    options = {"claims": 1_000, "cards": 150, "seed": 5, "campaign_id": "day", "hold_ttl_s": 600}
    assert simulate_command.run(world.settings, **options) == ExitCode.DONE  # type: ignore[arg-type]
    scraped = {name: scrape(port) for name, port in ports.items()}
    if shutil.which("promtool") is not None:
        for port in (*ports.values(), monitor_port):
            assert lint_metrics(get(port, "/metrics")[1].encode()) == ""
    assert_counts_are_the_events(world, scraped)
    assert_ledger_is_told_once_and_rightly(world, ports)
    assert_a_killed_process_tells_of_its_takeover(world, supervisor, ports["claims"])
    supervisor.terminate()
    assert supervisor.wait(WAIT_SECONDS_MAX) == 0


def assert_counts_are_the_events(world: World, scraped: dict[str, list[Sample]]) -> None:
    counted: Counter[tuple[str, str]] = Counter()
    latencies: Counter[str] = Counter()
    for samples in scraped.values():
        for sample in samples:
            if sample.name == catalogue.OUTCOMES.name:
                reason = sample.labels["reason"].replace("duplicate", "")
                counted[sample.labels["type"], reason] += int(sample.value)
            elif sample.name.endswith("_seconds_count") and "record_to" in sample.name:
                latencies[sample.name] += int(sample.value)
    events = [event for room in ("campaign", "claim", "order", "payment") for event in world.outcomes(room)]
    assert counted == Counter(
        (event["type"], event["data"]["reason"] if event["type"].endswith(".rejected") else "") for event in events
    )
    assert set(latencies.values()) == {len(events)}
    served = {sample.name for samples in scraped.values() for sample in samples if "voucher_ledger" in sample.name}
    for suffix in ("_bucket", "_count", "_sum", "_created"):
        served = {name.removesuffix(suffix) for name in served}
    assert served <= {metric.name.removesuffix("_total") for metric in catalogue.CATALOGUE} | {
        metric.name for metric in catalogue.CATALOGUE
    }


def assert_ledger_is_told_once_and_rightly(world: World, ports: dict[str, int]) -> None:
    balances = world.balances("day")

    def told(port: int) -> dict[tuple[str, ...], float]:
        return {(sample.name, *sample.labels.values()): sample.value for sample in scrape(port)}

    port = ports["sweeper"]
    assert [name for name in ports if (catalogue.LEDGER_UP.name,) in told(ports[name])] == ["sweeper"]
    another = LedgerCollector(world.settings)
    assert [*another.collect()] == []
    another.close()

    def is_up_to_date() -> bool:
        now = told(port)
        return all(
            now.get((catalogue.VOUCHERS.name, "day", role)) == balance
            for (role, unit), balance in balances.items()
            if unit == "VOUCHER"
        ) and not any(value for key, value in now.items() if key[0] == catalogue.LAG_RECORDS.name)

    wait(world, is_up_to_date, "look at the books as they are")
    found = told(port)
    assert found[(catalogue.LEDGER_UP.name,)] == 1
    assert found[catalogue.QUOTA.name, "day"] == 150
    assert found[catalogue.OPEN.name, "day"] == 1
    for (role, unit), balance in balances.items():
        if unit != "VOUCHER":
            assert found[catalogue.MONEY.name, "day", unit, role] == balance
    names = {key[0] for key in found}
    # The day is not paced: nothing is released later.
    assert {metric.name for metric in catalogue.LEDGER} - names == {catalogue.NEXT_RELEASE.name}
    # Labels come in the order of their names.
    answered = sum(
        value for key, value in found.items() if key[0] == catalogue.POSITION.name and key[2] == "claim.commands"
    )
    decided, dead = (found[metric.name, "claim.commands"] for metric in (catalogue.DECIDED, catalogue.DEAD_LETTERED))
    assert answered == decided + dead > 1_000


def assert_a_killed_process_tells_of_its_takeover(world: World, supervisor: subprocess.Popen[bytes], port: int) -> None:
    def samples() -> dict[str, float]:
        return {sample.name: sample.value for sample in scrape(port) if set(sample.labels) <= {"room"}}

    before = samples()["process_start_time_seconds"]
    (victim,) = [child for child in psutil.Process(supervisor.pid).children() if "claims" in child.cmdline()]
    victim.kill()
    wait(
        world, lambda: get(port, "/readyz")[0] == 200 and samples()["process_start_time_seconds"] > before, "successor"
    )
    after = samples()
    assert after[catalogue.TAKEOVERS.name] == 8
    assert after[catalogue.PRODUCERS.name] == 1

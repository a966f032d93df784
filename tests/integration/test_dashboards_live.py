"""A real Prometheus scrapes a running day: every query of every panel runs, and shows something where there is any."""

import json
import os
import shutil
import socket
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.__main__ import dashboards
from tests.contract.prometheus import CATALOGUED, DEPLOY, RULES, filled, rules, targets
from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.test_metrics import PROCESSES, free_base, get, run_all, wait
from tests.integration.test_monitor import Monitor
from tests.integration.world import World
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.simulate import command as simulate_command

pytestmark = pytest.mark.integration

PROGRAM = shutil.which("prometheus")
QUERIES = sorted(
    {(where, filled(target["expr"]).replace("spring-1", "day")) for one in dashboards().values()
     for where, target in targets(one) if "expr" in target}
)  # fmt: skip
# What a day of seconds has none of: a day before it, contention, faults, users with two orders when they are counted.
EMPTY = {
    "Ledger audit, Broken checks",
    "Pipeline, Batches decided again",
    "Verticals and tiers, Commonest pairs of verticals",
    "Verticals and tiers, Growth of city tiers",
    "Verticals and tiers, Growth of verticals",
}
UNTOLD = {
    "voucher_ledger_batches_decided_again_total",
    "voucher_ledger_campaign_next_release_timestamp_seconds",
    "voucher_ledger_monitor_growth_ratio",
    "voucher_ledger_monitor_vertical_pair_users",
}
TOLD = {"BudgetUsed", "CampaignEndsBeforePlan", "DeadLetters", "DemandUnusual", "LatencyBudgetBurns", "Watchdog"}


class Prometheus:
    """Debian's, with the committed rules and scrape jobs; only their targets and intervals are the test's."""

    def __init__(self, world: World, folder: Path, jobs: dict[str, list[str]]) -> None:
        assert PROGRAM is not None
        config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        del config["alerting"]
        config["rule_files"] = [str(path) for path in RULES]
        assert [job["job_name"] for job in config["scrape_configs"]] == list(jobs)
        for job in config["scrape_configs"]:
            job["static_configs"] = [{"targets": jobs[job["job_name"]]}]
        written = folder / "prometheus.yml"
        written.write_text(json.dumps(config), encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [
            PROGRAM, f"--config.file={written}", f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=error",
        ]  # fmt: skip
        world.children.append(subprocess.Popen(command, env=os.environ, stdin=subprocess.DEVNULL))

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression as of now; an error fails the test."""
        query = urllib.parse.urlencode({"query": expression})
        status, text = get(self.port, f"/api/v1/query?{query}")
        assert status in (0, 200, 503), f"{expression}: {text}"
        found: list[dict[str, Any]] = json.loads(text)["data"]["result"] if status == 200 else []
        return found


@pytest.mark.skipif(PROGRAM is None, reason="prometheus is not installed (Debian: apt-get install prometheus)")
def test_every_panel_shows_a_running_day(world: World, tmp_path: Path) -> None:
    base = free_base()
    supervisor = run_all(world, base)
    monitor = Monitor(world)
    jobs = {
        "voucher-ledger": [f"127.0.0.1:{base + number}" for number in range(len(PROCESSES))],
        "voucher-ledger-monitor": [monitor.address],
    }
    prometheus = Prometheus(world, tmp_path, jobs)
    wait(world, lambda: len(prometheus.ask("voucher_ledger_ready == 1")) == len(PROCESSES), "ready process")
    # It counts demand from the first rollup, whenever it starts.
    monitor.start(tmp_path / "monitor.log")
    # Slow enough for a trend (it takes 40 s) while cards are left: of what is sold out at once nothing is foretold.
    slow = {"claims": 300, "cards": 100_000, "seed": 6, "campaign_id": "slow", "hold_ttl_s": 600, "rate": 16}
    assert simulate_command.run(world.settings, **slow) == ExitCode.DONE  # type: ignore[arg-type]
    options = {"claims": 600, "cards": 150, "seed": 5, "campaign_id": "day", "hold_ttl_s": 600, "rate": 300}
    assert simulate_command.run(world.settings, **options) == ExitCode.DONE  # type: ignore[arg-type]
    unseen = set(QUERIES)

    def all_shown() -> bool:
        unseen.difference_update([one for one in unseen if prometheus.ask(one[1])])
        return {where for where, _ in unseen} <= EMPTY

    try:
        wait(world, all_shown, "something in each panel")
    except AssertionError:
        pytest.fail(f"nothing is shown by {[one for one in unseen if one[0] not in EMPTY]}")
    served = {series["metric"]["__name__"] for series in prometheus.ask('{__name__=~"voucher_ledger_.+"}')}
    served |= {name.removesuffix("_count") for name in served}
    assert CATALOGUED - served <= UNTOLD
    assert {rule["record"] for rule in rules() if "record" in rule} <= {
        series["metric"]["__name__"] for series in prometheus.ask('{__name__=~"voucher_ledger:.+"}')
    }
    # The day is sold out within seconds, holds rubbish, and is well otherwise.
    firing = {series["metric"]["alertname"] for series in prometheus.ask('ALERTS{alertstate="firing"}')}
    assert {"CampaignEndsBeforePlan", "DeadLetters", "Watchdog"} <= firing <= TOLD
    supervisor.terminate()
    assert supervisor.wait(WAIT_SECONDS_MAX) == 0

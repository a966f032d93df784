"""The rules: promtool accepts and tests them, each alert has a runbook and a test both ways."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.__main__ import dashboards
from deploy.grafana.runbooks import RUNBOOKS, anchor, sections
from tests.contract.prometheus import DEPLOY, RULES, promtool, recorded_of, rules, targets
from voucher_ledger.metrics.catalogue import TO_PUBLISHED
from voucher_ledger.metrics.latency import LatencyHistogram
from voucher_ledger.monitor.watch import CAUGHT_UP_RECORDS

ALERTS = [rule for rule in rules() if "alert" in rule]
TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yml"))
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))


def expectations() -> dict[str, list[list[dict[str, Any]]]]:
    """For each alert what its tests expect, a list of firing alerts each."""
    found = defaultdict(list)
    for path in TESTS:
        for one in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for case in one.get("alert_rule_test", ()):
                found[case["alertname"]].append(case["exp_alerts"])
    return found


def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    checked = promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(RULES)} rule files found" in checked.stdout
    linted = promtool("check", "rules", "--lint=all", "--lint-fatal", *RULES)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_alerts_fire_when_they_should_and_only_then(path: Path) -> None:
    ran = promtool("test", "rules", path)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_alert_is_tested_firing_and_not_firing_in_each_severity() -> None:
    expected = expectations()
    assert set(expected) == {rule["alert"] for rule in ALERTS}
    for rule in ALERTS:
        cases = expected[rule["alert"]]
        severity = rule["labels"]["severity"]
        firing = [alert["exp_labels"]["severity"] for case in cases for alert in case]
        assert severity in firing or "{{" in severity, f"{rule['alert']} never fires as {severity}"
        assert [] in cases or rule["expr"] == "vector(1)", f"{rule['alert']}: no test of its silence"


def test_an_alert_that_a_gap_would_end_is_kept_and_tested_over_one() -> None:
    """A gauge is missing while its process starts: who was woken would be told "resolved", and be woken again."""
    windowed = {"BudgetUsed"}  # so that of its two severities one ends as the other begins
    assert all("_over_time(" in rule["expr"] for rule in ALERTS if rule["alert"] in windowed)
    kept = {rule["alert"] for rule in ALERTS if "keep_firing_for" in rule}
    assert not kept & windowed
    assert kept >= {rule["alert"] for rule in ALERTS if "voucher_ledger_monitor_alert_firing" in rule["expr"]}
    assert kept >= {
        "CampaignOverspends",
        "WaitingRoomTooOld",
        "LedgerAuditFailed",
        "OutboxGrowing",
        "CampaignsUnnamed",
    }
    assert {rule.get("keep_firing_for") for rule in ALERTS if rule["alert"] in kept} == {"5m"}
    gaps = yaml.safe_load((DEPLOY / "prometheus" / "tests" / "gaps.test.yml").read_text(encoding="utf-8"))["tests"]
    assert {case["alertname"] for one in gaps for case in one["alert_rule_test"]} == kept | windowed


@pytest.mark.parametrize("alert", ["ProcessDown", "ProcessNotReady", "LedgerNotRead", "MonitorBehind"])
def test_what_tells_of_the_gap_itself_is_over_with_it(alert: str) -> None:
    assert ["keep_firing_for" in rule for rule in ALERTS if rule["alert"] == alert] == [False]


def test_each_alert_leads_to_its_runbook_and_each_runbook_to_an_alert() -> None:
    addresses = {rule["annotations"]["runbook_url"] for rule in ALERTS}
    written = {f"docs/{RUNBOOKS.name}#{anchor(title)}": text for title, text in sections().items()}
    assert addresses == set(written)
    for address, text in written.items():
        assert re.findall(r"^\*\*(\w+(?: at)?)\.\*\*", text, flags=re.MULTILINE) == ["Means", "Look at", "Do"], address


def test_runbooks_name_only_panels_and_sections_that_are_there() -> None:
    made = list(dashboards().values())
    titles = {one["title"] for one in made} | {panel["title"] for one in made for panel in one["panels"]}
    for other in ("MONITOR.md", "OPERATIONS.md", "OPERATIONS-DEAD-LETTERS.md"):
        titles |= set(re.findall(r"^###? (.+)$", (RUNBOOKS.parent / other).read_text(), flags=re.MULTILINE))
    for section, text in sections().items():
        for name in re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", text):
            assert any(title.startswith(name) for title in titles), f"{section} names {name}"


def test_each_recorded_series_is_recorded_and_asked_for() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    panels = [target.get("expr", "") for one in dashboards().values() for _, target in targets(one)]
    assert recorded_of(" ".join([*panels, *(rule["expr"] for rule in rules())])) == recorded


def test_bounds_of_objectives_are_buckets() -> None:
    """A share below a bound that is no bucket, to the letter, would be empty, and its alert silent for ever."""
    (family,) = LatencyHistogram(TO_PUBLISHED, ["claims"]).collect()
    bounds = {sample.labels["le"] for sample in family.samples if sample.name.endswith("_bucket")}
    found = re.findall(r'(voucher_ledger_\w+)_bucket\{[^}]*le="([^"]+)"', " ".join(rule["expr"] for rule in rules()))
    assert {name for name, _ in found} == {TO_PUBLISHED.name}
    assert {bound for _, bound in found} <= bounds


def test_the_monitor_is_told_to_be_behind_where_its_alerts_stand_still() -> None:
    (rule,) = (rule for rule in ALERTS if rule["alert"] == "MonitorBehind")
    assert f"demand_lag_records > {CAUGHT_UP_RECORDS} " in rule["expr"].replace("\n", " ")


def test_scrapes_are_as_quick_as_the_lag_objective_counts_on() -> None:
    assert PROMETHEUS["global"]["scrape_interval"] == PROMETHEUS["global"]["evaluation_interval"] == "5s"

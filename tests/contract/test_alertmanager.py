"""Alertmanager's configuration: amtool accepts it, and each alert of the rules reaches whom its severity says."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.prometheus import DEPLOY, rules

CONFIG = DEPLOY / "alertmanager" / "alertmanager.yml"
ROUTED = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
ALERTS = [rule for rule in rules() if "alert" in rule]


def amtool(folder: Path, *arguments: str) -> str:
    """What it prints of the configuration. Debian's is older than `url_file`, which is all that it may miss."""
    program = shutil.which("amtool")
    if program is None:
        pytest.skip("amtool is not installed (Debian: apt-get install prometheus-alertmanager)")
    written = folder / "alertmanager.yml"
    text = CONFIG.read_text(encoding="utf-8")
    written.write_text(text.replace("url_file: /run/secrets/", "url: http://localhost/"), encoding="utf-8")
    command = [program, *arguments, *(["--config.file", str(written)] if len(arguments) > 1 else [str(written)])]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_amtool_accepts_the_configuration(tmp_path: Path) -> None:
    assert f"{len(ROUTED['receivers'])} receivers" in amtool(tmp_path, "check-config")


@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_an_alert_reaches_whom_its_severity_says(tmp_path: Path, severity: str) -> None:
    told = amtool(tmp_path, "config", "routes", "test", "alertname=PositionStuck", f"severity={severity}")
    assert told.split() == [severity]


def test_the_watchdog_has_a_receiver_of_its_own_and_is_sent_again_each_minute(tmp_path: Path) -> None:
    assert amtool(tmp_path, "config", "routes", "test", "alertname=Watchdog", "severity=none").split() == ["watchdog"]
    (route,) = (one for one in ROUTED["route"]["routes"] if one["receiver"] == "watchdog")
    assert route["repeat_interval"] == "1m"


def test_what_is_inhibited_and_grouped_by_is_there() -> None:
    """A name that no alert has inhibits nothing, silently."""
    named = {rule["alert"] for rule in ALERTS}
    for rule in ROUTED["inhibit_rules"]:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            label, _, value = matcher.partition(" ")
            wanted = set(value.lstrip("=~ ").strip('"').split("|"))
            assert wanted <= (named if label == "alertname" else {"critical", "warning"}), matcher


def test_a_critical_alert_silences_its_own_warning_only() -> None:
    """Inhibited across partitions, rooms or campaigns, one trouble would hide another."""
    twice: dict[str, list[Any]] = {}
    for rule in ALERTS:
        twice.setdefault(rule["alert"], []).append(rule["labels"]["severity"])
    assert [name for name, severities in twice.items() if len(severities) > 1]
    (rule,) = (one for one in ROUTED["inhibit_rules"] if one["source_matchers"] == ['severity = "critical"'])
    assert {"alertname", "campaign", "subject", "topic", "room", "currency"} == set(rule["equal"])

"""What dashboards and rules ask Prometheus, and Debian's promtool to judge it."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from voucher_ledger.metrics.catalogue import CATALOGUE
from voucher_ledger.monitor.metrics import CATALOGUE as MONITOR
from voucher_ledger.monitor.metrics import PREFIX

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
LABELS = {
    **{metric.name: metric.labels for metric in CATALOGUE},
    **{f"{PREFIX}_{entry.name}": entry.labels for entry in MONITOR},
}
CATALOGUED = frozenset(LABELS)
HISTOGRAMS = frozenset(metric.name for metric in CATALOGUE if metric.kind == "histogram")

_METRIC = re.compile(r"(?<![\w:$\"])voucher_ledger_\w+")
_RECORDED = re.compile(r"(?<![\w$\"])voucher_ledger:[\w:]+")


def rules() -> list[dict[str, Any]]:
    """Every rule, in the order of the files."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def metrics_of(expression: str) -> set[str]:
    """The catalogue's names of what an expression asks for; a histogram's without its suffix."""
    found = set()
    for name in _METRIC.findall(expression):
        base = re.sub(r"_(bucket|count|sum)$", "", name)
        found.add(base if base in HISTOGRAMS else name)
    return found


def recorded_of(expression: str) -> set[str]:
    """The recording rules that an expression asks for."""
    return set(_RECORDED.findall(expression))


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it; a test that needs it is skipped where it is not installed."""
    command = [_promtool(), *(str(argument) for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def lint_metrics(exposed: bytes) -> str:
    """What promtool has against an answer of /metrics, a complaint a line: nothing where all is well."""
    command = [_promtool(), "check", "metrics"]
    checked = subprocess.run(command, input=exposed, capture_output=True, timeout=300, check=False)
    told = (checked.stdout + checked.stderr).decode()
    assert bool(told) == (checked.returncode != 0), told
    return told


def _promtool() -> str:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    return program


def filled(expression: str) -> str:
    """An expression with Grafana's variables as it would fill them in."""
    filled_in = expression.replace("$__rate_interval", "1m").replace('=~"$campaign"', '=~".*"')
    return filled_in.replace('=~"$room"', '=~".*"').replace("$campaign", "spring-1")


def targets(dashboard: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each query of each panel and annotation, and what it is of."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield f"{dashboard['title']}, {panel['title']}", target
    for annotation in dashboard["annotations"]["list"]:
        yield f"{dashboard['title']}, {annotation['name']}", annotation["target"]

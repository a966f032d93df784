"""promtool's own judgement of what is served: names, units, help texts, as Prometheus wants them."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from tests.contract.prometheus import lint_metrics, rules
from tests.unit.test_metrics import decided, reserved
from voucher_ledger.metrics import catalogue, ledger_books
from voucher_ledger.metrics.readiness import Readiness
from voucher_ledger.metrics.registry import process_registry
from voucher_ledger.metrics.room import RoomMetrics
from voucher_ledger.monitor import metrics as monitor


class Each(Collector):
    """Every metric that is worked out at a scrape, with one sample."""

    def collect(self) -> Iterator[Family]:
        families = [(ledger_books.family(one), one.labels) for one in (*catalogue.LEDGER, *catalogue.AUDIT)]
        families += [(monitor._family(one), one.labels) for one in monitor.CATALOGUE]
        for family, labels in families:
            family.add_metric(["x"] * len(labels), 1)
            yield family


def served() -> CollectorRegistry:
    """A process that has everything that any of them has."""
    readiness = Readiness()
    registry = process_registry("orders", readiness)
    decided(RoomMetrics("orders", registry, readiness), reserved())
    registry.register(Each())
    return registry


def test_all_metrics_are_as_prometheus_wants_them() -> None:
    assert lint_metrics(generate_latest(served())) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        b"# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n",
        b"# TYPE a_seconds gauge\na_seconds 1\n",
        b'# HELP a A.\n# TYPE a gauge\na{quantile="0.5"} 1\n',
    ],
)
def test_what_is_not_is_told(wrong: bytes) -> None:
    assert lint_metrics(wrong) != ""


def recorded() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "record" in rule]


@pytest.mark.parametrize("rule", recorded(), ids=lambda rule: rule["record"])
def test_a_recording_rule_says_level_metric_and_operation(rule: dict[str, Any]) -> None:
    """The window that a name tells is the one that is asked for: the name is all that dashboards and alerts see."""
    level, metric, operation = rule["record"].split(":")
    assert level == "voucher_ledger"
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", metric)
    assert re.fullmatch(r"(ratio|bool|rate\d+[smh]|ratio_(rate|avg)\d+[smh])", operation), operation
    windows = set(re.findall(r"\[(\w+)\]", rule["expr"]))
    assert windows == set(re.findall(r"\d+[smh]$", operation))
    asks = {"rate": "rate(", "avg": "avg_over_time("}
    for name, function in asks.items():
        assert (function in rule["expr"]) == (re.search(rf"(^|_){name}\d", operation) is not None), rule["record"]
    assert not rule.get("labels"), "a recorded series has the labels of what it is made of"

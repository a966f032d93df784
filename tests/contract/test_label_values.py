"""Label values that dashboards and rules ask for are ones that are exported: any other selects nothing, silently."""

import re
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client.samples import Sample

from deploy.grafana.__main__ import dashboards
from tests.contract.prometheus import metrics_of, rules, targets
from tests.unit.demand_given import START, facts, row, seen
from tests.unit.monitor_exported import exported
from voucher_ledger.ledger.model import ROLES
from voucher_ledger.metrics import catalogue
from voucher_ledger.metrics.ledger_audit import LedgerAudit
from voucher_ledger.metrics.readiness import Readiness
from voucher_ledger.metrics.registry import process_registry
from voucher_ledger.metrics.room import RoomMetrics

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
DAY, QUARTERS = 86_400, (0, 900, 1_800, 2_700)
# Buckets are held elsewhere (test_prometheus_rules); a campaign is whichever there is, or Grafana's variable.
OF_NO_SET = {"le", "campaign"}

Values = dict[tuple[str, str], set[str]]


def an_alarming_day() -> list[Sample]:
    """What the monitor exports of a day with four times the orders, masses of refusals, and cards that go fast."""
    at = DAY + 3_600 + 600
    rows = [row(at - 600 + second, count=2) for second in range(600)]
    rows += [row(at - 60, "order.rejected", 5_000, reason="user_limit")]
    for begin, count in ((0, 400), (DAY, 1_600)):
        rows += [row(begin + quarter, "order.reserved", count, category="hotel", city_tier=5) for quarter in QUARTERS]
    quota = {"quota": 9_000, "cards_left": 900, "cards_out": 8_100}
    return exported(seen(*rows, facts=facts(ends_at=START + 3 * DAY, **quota), at=at))


def an_audit() -> list[Sample]:
    """What the audit exports after a run that passed one check and failed one."""
    made = LedgerAudit(cast("Any", SimpleNamespace(postgres="")))
    passed, failed = SimpleNamespace(passed=True, offending_count=0), SimpleNamespace(passed=False, offending_count=1)
    made._results = cast("Any", {"no_cause_twice": passed, "campaigns_sum_to_zero": failed})
    made._last_run = (0.0, 0.0)
    return [sample for family in made.collect() for sample in family.samples]


def values() -> Values:
    """By metric (as the catalogues name it) and label, what is exported."""
    found: Values = defaultdict(set)
    registry = process_registry("orders", Readiness())
    RoomMetrics("orders", registry, Readiness())
    of_a_room = [sample for family in registry.collect() for sample in family.samples]
    for sample in (*an_alarming_day(), *an_audit(), *of_a_room):
        for name in metrics_of(sample.name):
            for label, value in sample.labels.items():
                found[name, label].add(value)
    for metric in (catalogue.VOUCHERS, catalogue.MONEY):
        found[metric.name, "role"] |= set(ROLES)
    for metric in (catalogue.OUTCOMES, catalogue.SEGMENTS, catalogue.VALUE):
        found[metric.name, "type"] |= {path.stem for path in (SCHEMAS / "events").glob("*.json")}
    return found


def asked() -> list[tuple[str, str, str, str]]:
    """Metric, label, operator and value of each selector, but those of Grafana's variables."""
    expressions = [target.get("expr", "") for one in dashboards().values() for _, target in targets(one)]
    expressions += [rule["expr"] for rule in rules()]
    found = []
    for name, selector in re.findall(r"(voucher_ledger_\w+)\{([^}]*)\}", " ".join(expressions)):
        (metric,) = metrics_of(name)
        for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', selector):
            if label not in OF_NO_SET and not value.startswith("$"):
                found.append((metric, label, operator, value))
    return found


def test_each_value_asked_for_is_exported() -> None:
    known = values()
    selectors = set(asked())
    assert len(selectors) > 15
    for metric, label, operator, value in selectors:
        for one in value.split("|") if "~" in operator else [value]:
            pattern = one if "~" in operator else re.escape(one)
            exists = any(re.fullmatch(pattern, there) for there in known[metric, label])
            assert exists, f"{metric}{{{label}{operator}{one!r}}}: there are {sorted(known[metric, label])}"

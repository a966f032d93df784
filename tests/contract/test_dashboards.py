"""The dashboards: what is committed is what the code builds, and every query of theirs can be asked."""

import json
import re
from pathlib import Path

import yaml

from deploy.grafana import runbooks
from deploy.grafana.__main__ import FOLDER, dashboards, text_of
from tests.contract.prometheus import CATALOGUED, DEPLOY, LABELS, filled, metrics_of, promtool, rules, targets

MADE = dashboards()
QUERIES = [(where, target) for one in MADE.values() for where, target in targets(one)]
PROVISIONING = DEPLOY / "grafana" / "provisioning"


def test_the_committed_files_are_what_the_code_builds() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(MADE)
    for name, one in MADE.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text_of(one), f"{name} is old: run `make dashboards`"


def test_metrics_asked_for_are_in_the_catalogues_and_the_other_way_round() -> None:
    asked: set[str] = set()
    for where, target in QUERIES:
        found = metrics_of(target.get("expr", ""))
        assert found <= CATALOGUED, f"{where}: {found - CATALOGUED}"
        asked |= found
    for rule in rules():
        found = metrics_of(rule["expr"])
        assert found <= CATALOGUED, f"{rule}: {found - CATALOGUED}"
        asked |= found
    for one in MADE.values():
        for variable in one.get("templating", {}).get("list", ()):
            assert metrics_of(variable["query"]) <= CATALOGUED
    assert asked == CATALOGUED, f"in no dashboard and no rule: {CATALOGUED - asked}"


def test_labels_asked_for_are_those_of_the_catalogue() -> None:
    """A label that a metric does not have selects nothing, silently."""
    expressions = [target.get("expr", "") for _, target in QUERIES] + [rule["expr"] for rule in rules()]
    selectors = [pair for one in expressions for pair in re.findall(r"(voucher_ledger_\w+)\{([^}]*)\}", one)]
    assert len(selectors) > 40
    for name, selector in selectors:
        (metric,) = metrics_of(name)
        asked = set(re.findall(r"(\w+)(?:=~|!~|!=|=)\"", selector))
        assert asked <= {*LABELS[metric], "le"}, f"{name}{{{selector}}}"


def test_every_expression_parses(tmp_path: Path) -> None:
    expressions = [filled(target["expr"]) for _, target in QUERIES if "expr" in target]
    assert not [one for one in expressions if "$" in one]
    recorded = [{"record": f"asked:{number}", "expr": one} for number, one in enumerate(expressions)]
    written = tmp_path / "expressions.yml"
    written.write_text(json.dumps({"groups": [{"name": "asked", "rules": recorded}]}), encoding="utf-8")
    checked = promtool("check", "rules", written)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(expressions)} rules found" in checked.stdout
    written.write_text(written.read_text(encoding="utf-8").replace("sum(", "sum((", 1), encoding="utf-8")
    assert promtool("check", "rules", written).returncode != 0, "promtool accepts what does not parse"


def test_provisioning_and_dashboards_name_the_same_data_sources() -> None:
    (data_sources,) = (PROVISIONING / "datasources").iterdir()
    provided = {
        (one["type"], one["uid"]) for one in yaml.safe_load(data_sources.read_text(encoding="utf-8"))["datasources"]
    }
    asked = {(one["type"], one["uid"]) for one in found_data_sources(list(MADE.values()))}
    assert asked == provided
    # Grafana fills passwords and addresses in from its environment.
    assert re.findall(r"(?:password|url|user): (?!\$\{)", data_sources.read_text(encoding="utf-8")) == []


def found_data_sources(part: object) -> list[dict[str, str]]:
    if isinstance(part, list):
        return [found for one in part for found in found_data_sources(one)]
    if not isinstance(part, dict):
        return []
    here = [part["datasource"]] if "datasource" in part else []
    return here + [found for one in part.values() for found in found_data_sources(one)]


def test_links_lead_to_dashboards_and_panels_that_are_there() -> None:
    addresses = {f"/d/{one['uid']}": one for one in MADE.values()}
    links = set(re.findall(r'"url": "(/d/[^"]+)"', "".join(map(text_of, MADE.values()))))
    assert len(links) > 8
    for link in links:
        address, _, view = link.partition("?viewPanel=")
        assert not view or view in {str(panel["id"]) for panel in addresses[address]["panels"]}
    shown = [panel["title"] for panel in addresses[runbooks.ADDRESS]["panels"]]
    assert shown == [*runbooks.sections()]


def test_peak_hour_is_one_screen() -> None:
    """A screen of 1080 lines shows some 26 units of Grafana's grid."""
    panels = MADE["peak-hour.json"]["panels"]
    assert max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) <= 26
    for one in MADE.values():
        for panel in one["panels"]:
            assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24, panel["title"]

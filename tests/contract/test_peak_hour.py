"""*Peak hour*'s figures, asked of made-up series: a campaign that is over never stands before the one that runs."""

import json
from pathlib import Path

import pytest

from deploy.grafana.__main__ import dashboards
from tests.contract.prometheus import RULES, filled, promtool, targets

PEAK_HOUR = "peak-hour.json"
ENDS_AT = "voucher_ledger_campaign_end_timestamp_seconds"
FORECAST = "voucher_ledger_monitor_forecast_end_timestamp_seconds"
# The old one ended 100 s after 1970, sold out, its budget used up, and is still told of; asked at 1,000 s.
SERIES = {
    f'{ENDS_AT}{{campaign="old"}}': 100,
    f'{ENDS_AT}{{campaign="new"}}': 9_000,
    'voucher_ledger_balance_vouchers{campaign="old", role="pool"}': 7,
    'voucher_ledger_balance_vouchers{campaign="new", role="pool"}': 40,
    'voucher_ledger_balance_vouchers{campaign="new", role="lease"}': 2,
    **{
        f'{FORECAST}{{campaign="{campaign}", of="{of}", bound="middle"}}': at
        for campaign, at in (("old", 100), ("new", 4_600))
        for of in ("cards", "budget")
    },
    'voucher_ledger_monitor_planned_end_timestamp_seconds{campaign="old"}': 100,
    'voucher_ledger_monitor_planned_end_timestamp_seconds{campaign="new"}': 9_000,
    'voucher_ledger_campaign_budget_minor{campaign="old", currency="CNY"}': 1_000,
    'voucher_ledger_campaign_budget_minor{campaign="new", currency="CNY"}': 1_000,
    'voucher_ledger_balance_minor{campaign="old", currency="CNY", role="pool"}': 0,
    'voucher_ledger_balance_minor{campaign="old", currency="CNY", role="loss"}': 0,
    'voucher_ledger_balance_minor{campaign="new", currency="CNY", role="pool"}': 750,
    'voucher_ledger_balance_minor{campaign="new", currency="CNY", role="loss"}': 0,
}
SHOWN: dict[str, list[tuple[str, float]]] = {
    "Cards left": [("{}", 42)],
    "Cards gone in": [("{}", 3_600)],
    "Budget gone in": [("{}", 3_600)],
    "Budget used": [("{}", 0.25)],
    "Time until cards are gone": [('{campaign="new", of="cards", bound="middle"}', 3_600), ('{campaign="new"}', 8_000)],
}


@pytest.mark.parametrize("title", SHOWN)
def test_a_campaign_that_is_over_does_not_hide_the_one_that_runs(title: str, tmp_path: Path) -> None:
    asked = [filled(target["expr"]) for where, target in targets(dashboards()[PEAK_HOUR]) if where.endswith(title)]
    expected = SHOWN[title]
    written = {
        "rule_files": [str(path) for path in RULES],
        "tests": [{
            "interval": "10s",
            "input_series": [{"series": name, "values": f"{value}x100"} for name, value in SERIES.items()],
            "promql_expr_test": [
                {"expr": expression, "eval_time": "1000s", "exp_samples": [{"labels": labels, "value": value}]}
                for expression, (labels, value) in zip(asked, expected, strict=True)
            ],
        }],
    }  # fmt: skip
    path = tmp_path / "shown.yml"
    path.write_text(json.dumps(written), encoding="utf-8")
    ran = promtool("test", "rules", path)
    assert ran.returncode == 0, ran.stdout + ran.stderr

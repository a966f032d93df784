"""*Peak hour*: one screen for whoever is on duty while cards are claimed."""

from typing import Any

from deploy.grafana.board import (
    alarming,
    board,
    campaign_variable,
    curves,
    figure,
    promql,
    promql_now,
    rows,
    running_out,
)  # fmt: skip

_CAMPAIGN = 'campaign=~"$campaign"'
# A campaign that is over keeps its last figures: added to those of the running ones they would hide them.
_RUNNING = "and on (campaign) voucher_ledger_campaign_end_timestamp_seconds > time()"
_FORECAST = f"voucher_ledger_monitor_forecast_end_timestamp_seconds{{{_CAMPAIGN}"
# The watchdog fires always: it is Alertmanager's to send, and nobody's to mend.
_FIRING = 'ALERTS{alertstate="firing", alertname!="Watchdog"}'


def build() -> dict[str, Any]:
    """The dashboard as JSON."""
    panels = [*_figures(), *_demand(), *_system()]
    about = "What is asked for, what came of it, when it will be gone, and whether the system keeps up."
    return board("peak-hour", "Peak hour", about, panels, [campaign_variable(several=True)])


def _figures() -> list[Any]:
    return [
        figure(
            "Cards left", "short", 3,
            promql_now(f'sum(voucher_ledger_balance_vouchers{{{_CAMPAIGN}, role=~"pool|lease"}} {_RUNNING})'),
            about="In pool and leases, by the ledger, of campaigns that are not over.", steps=running_out(1, 100),
        ),
        figure(
            "Cards gone in", "s", 4,
            promql_now(f'min({_FORECAST}, of="cards", bound="middle"}} {_RUNNING}) - time()'),
            about="The middle of the monitor's forecast, of the campaign that ends first.",
            steps=running_out(1_800, 7_200), runbook="Campaign ends before plan", none="not by this trend",
        ),
        figure(
            "Budget gone in", "s", 4,
            promql_now(f'min({_FORECAST}, of="budget", bound="middle"}} {_RUNNING}) - time()'),
            steps=running_out(1_800, 7_200), runbook="Campaign ends before plan", none="not by this trend",
        ),
        figure(
            "Budget used", "percentunit", 3,
            promql_now(f"max(voucher_ledger:budget_used:ratio{{{_CAMPAIGN}}} {_RUNNING})"),
            about="Of the campaign that used most of its own, among those that are not over.",
            steps=alarming(0.80, 0.95), runbook="Budget used",
        ),
        figure(
            "Answered within 2 s", "percentunit", 3,
            promql_now("1 - max(voucher_ledger:answered_late:ratio_rate1m and voucher_ledger:answered:rate5m > 0.1)"),
            about="Of the commands of the last minute, in the room that is latest. The objective is 99 %.",
            steps=running_out(0.97, 0.99), runbook="Latency budget burns",
        ),
        figure(
            "Lag", "s", 2, promql_now("max(voucher_ledger_lag_seconds)"), steps=alarming(5, 15),
            about="Of the partition furthest behind, by the ledger's position.", runbook="Lag budget burns",
        ),
        figure(
            "Waiting users", "short", 2, promql_now(f"sum(voucher_ledger_waiting_users{{{_CAMPAIGN}}})"),
            runbook="Waiting room too old",
        ),
        figure(
            "Alerts", "short", 3, promql_now(f"count({_FIRING}) or vector(0)"), steps=alarming(1, 5),
        ),
    ]  # fmt: skip


def _demand() -> list[Any]:
    return [
        curves(
            "Demand", "ops", 8,
            promql("sum by (type) (rate(voucher_ledger_commands_total[$__rate_interval]))", "{{type}}"),
            about="Commands decided a second. While processors lag this is what they manage, not what is asked for.",
        ),
        curves(
            "Outcomes", "ops", 8,
            promql(
                f"sum by (type, reason) (rate(voucher_ledger_outcomes_total{{{_CAMPAIGN}}}[$__rate_interval])) > 0",
                "{{type}} {{reason}}",
            ),
        ),
        curves(
            "Burn-down", "short", 8,
            promql(f"sum by (campaign) (voucher_ledger_monitor_cards_left{{{_CAMPAIGN}}})", "{{campaign}} left"),
            promql(
                f"sum by (campaign) (voucher_ledger_monitor_cards_left_planned{{{_CAMPAIGN}}})", "{{campaign}} planned"
            ),
        ),
        curves(
            "Time until cards are gone", "s", 8,
            promql(f'({_FORECAST}, of="cards"}} {_RUNNING}) - time()', "{{campaign}} {{bound}}"),
            promql(
                f"(voucher_ledger_monitor_planned_end_timestamp_seconds{{{_CAMPAIGN}}} > time()) - time()",
                "{{campaign}} plan",
            ),
            about="The forecast's early, middle and late end, against the campaign's own.",
        ),
        curves(
            "Budget", "short", 8,
            promql(f"sum by (role) (voucher_ledger_balance_minor{{{_CAMPAIGN}, role!=\"funding\"}})", "{{role}}"),
            about="Minor units by role.", stacked=True,
        ),
        curves(
            "Refused of five minutes", "percentunit", 8,
            promql(f"voucher_ledger_monitor_refusals_ratio{{{_CAMPAIGN}}}", "{{campaign}} {{room}}"),
            steps=((None, "green"), (0.5, "orange")),
        ),
    ]  # fmt: skip


def _system() -> list[Any]:
    late = "rate(voucher_ledger_record_to_published_seconds_bucket[$__rate_interval])"
    return [
        curves(
            "Lag", "s", 8, promql("max by (topic) (voucher_ledger_lag_seconds)", "{{topic}}"), steps=alarming(5, 15)
        ),
        curves(
            "Latency, record to event", "s", 8,
            promql(f"histogram_quantile(0.5, sum by (le) ({late}))", "half within"),
            promql(f"histogram_quantile(0.99, sum by (le) ({late}))", "99 % within"),
            steps=((None, "green"), (2, "red")),
        ),
        rows(
            "Alerts", 8, promql_now(_FIRING), runbook_column="alertname",
            about="Firing in Prometheus. A name leads to what to do.",
        ),
        rows(
            "The monitor's alerts", 24, promql_now("voucher_ledger_monitor_alert_firing == 1"), height=4,
            about="The same as on ledger.alerts.", runbook_column="alert",
        ),
    ]  # fmt: skip

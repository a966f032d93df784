"""*Campaign*: all that the ledger and the monitor know of one."""

from typing import Any

from deploy.grafana.board import (
    FUNDINGS,
    SqlQuery,
    alarming,
    board,
    campaign_variable,
    curves,
    figure,
    promql,
    promql_now,
    rows,
)  # fmt: skip

_CAMPAIGN = 'campaign="$campaign"'
# sqlstring quotes the value: a campaign's id is what its owner chose.
_IN_SQL = "campaign_id IN (${campaign:sqlstring})"


def build() -> dict[str, Any]:
    """The dashboard as JSON."""
    panels = [*_figures(), *_curves(), *_tables()]
    return board(
        "campaign", "Campaign", "Quota, budget, plan, outcomes and the waiting room of one campaign.", panels,
        [campaign_variable(several=False)], span="now-6h",
    )  # fmt: skip


def _figures() -> list[Any]:
    return [
        figure("Open", "bool_yes_no", 2, promql_now(f"max(voucher_ledger_campaign_open{{{_CAMPAIGN}}})")),
        figure(
            "Starts", "dateTimeAsIso", 4,
            promql_now(f"1000 * max(voucher_ledger_campaign_start_timestamp_seconds{{{_CAMPAIGN}}})"),
        ),
        figure(
            "Ends", "dateTimeAsIso", 4,
            promql_now(f"1000 * max(voucher_ledger_campaign_end_timestamp_seconds{{{_CAMPAIGN}}})"),
        ),
        figure("Quota", "short", 3, promql_now(f"max(voucher_ledger_campaign_quota_vouchers{{{_CAMPAIGN}}})")),
        figure(
            "Budget, minor units", "short", 3,
            promql_now(f"max by (currency) (voucher_ledger_campaign_budget_minor{{{_CAMPAIGN}}})", "{{currency}}"),
        ),
        figure(
            "Budget left", "short", 3, promql_now(f"voucher_ledger_monitor_budget_left_minor{{{_CAMPAIGN}}}"),
            about="Minor units in pool and leases, as the monitor last read them.", runbook="Budget used",
        ),
        figure(
            "Budget used", "percentunit", 2, promql_now(f"voucher_ledger_monitor_budget_used_ratio{{{_CAMPAIGN}}}"),
            steps=alarming(0.80, 0.95), runbook="Budget used",
        ),
        figure(
            "Overspent", "short", 3,
            promql_now(f'-max(voucher_ledger_balance_vouchers{{{_CAMPAIGN}, role="loss"}})'),
            about="Vouchers honoured past quota or budget.", steps=((None, "green"), (1, "red")),
            runbook="Campaign overspends",
        ),
    ]  # fmt: skip


def _curves() -> list[Any]:
    rate = "[$__rate_interval]"
    return [
        curves(
            "Vouchers by role", "short", 8,
            promql(
                f'sum by (role) (voucher_ledger_balance_vouchers{{{_CAMPAIGN}, role!~"funding|loss"}})', "{{role}}"
            ),
            stacked=True,
        ),
        curves(
            "Left and planned", "short", 8,
            promql(f"voucher_ledger_monitor_cards_left{{{_CAMPAIGN}}}", "left"),
            promql(f"voucher_ledger_monitor_cards_left_planned{{{_CAMPAIGN}}}", "planned"),
        ),
        curves(
            "Net grants a second", "ops", 8,
            promql(f"voucher_ledger_monitor_grants_per_second{{{_CAMPAIGN}}}", "percentile {{percentile}}"),
            about="Grants less expiries of the last ten minutes, as the forecast takes them.",
        ),
        curves(
            "Refusals by reason", "ops", 8,
            promql(
                f'sum by (reason) (rate(voucher_ledger_outcomes_total{{{_CAMPAIGN}, type=~".+rejected"}}{rate})) > 0',
                "{{reason}}",
            ),
        ),
        curves(
            "Value a second, minor units", "short", 8,
            promql(
                f"sum by (type) (rate(voucher_ledger_outcome_value_minor_total{{{_CAMPAIGN}}}{rate})) > 0", "{{type}}"
            ),
        ),
        curves(
            "Waiting room", "short", 4, promql(f"sum(voucher_ledger_waiting_users{{{_CAMPAIGN}}})", "users"),
        ),
        curves(
            "Longest wait", "s", 4,
            promql(f"max(voucher_ledger_waiting_age_seconds{{{_CAMPAIGN}}})", "head of the line"),
            steps=((None, "green"), (900, "orange")),
        ),
    ]  # fmt: skip


def _tables() -> list[Any]:
    return [
        rows(
            "Terms", 12,
            SqlQuery(f"""
SELECT campaign_id, name, state, currency, quota, budget_minor, voucher_kind, face_value_minor, per_user_limit,
       when_empty, overspend
FROM ledger.campaign WHERE {_IN_SQL}"""),
        ),
        rows(
            "Funding", 12,
            SqlQuery(f"SELECT * FROM ({FUNDINGS}) AS funding WHERE {_IN_SQL} ORDER BY at DESC LIMIT 100"),
            about="The opening and each top-up, with who approved it.",
        ),
        rows(
            "Tranches", 8,
            SqlQuery(f"""
SELECT place, at, quota, at <= now() AS released FROM ledger.tranche WHERE {_IN_SQL} ORDER BY place"""),
            about="None where all is released at the start.",
        ),
        rows(
            "Waiting lines", 8,
            SqlQuery(f"""
SELECT partition, waiting, admitted, left_without, head_queued_at
FROM ledger.waiting_line WHERE {_IN_SQL} ORDER BY partition"""),
        ),
        rows(
            "Channel quotas", 8,
            SqlQuery(f"SELECT channel, quota, granted FROM ledger.channel_quota WHERE {_IN_SQL} ORDER BY channel"),
        ),
    ]  # fmt: skip

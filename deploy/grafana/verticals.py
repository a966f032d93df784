"""*Verticals and tiers*: where demand comes from, and what grows against the day before."""

from typing import Any

from deploy.grafana.board import SqlQuery, alarming, board, campaign_variable, curves, figure, promql, promql_now, rows

_CAMPAIGN = 'campaign=~"$campaign"'
_ORDERS = f'voucher_ledger_segment_outcomes_total{{{_CAMPAIGN}, type="order.reserved"}}'
_GRANTS = f'voucher_ledger_segment_outcomes_total{{{_CAMPAIGN}, type="voucher.granted"}}'
_GROWTH = f"voucher_ledger_monitor_growth_ratio{{{_CAMPAIGN}"


def build() -> dict[str, Any]:
    """The dashboard as JSON."""
    panels = [
        curves(
            "Orders by vertical", "ops", 12,
            promql(f"sum by (category) (rate({_ORDERS}[$__rate_interval]))", "{{category}}"), stacked=True,
        ),
        curves(
            "Orders by city tier", "ops", 12,
            promql(f"sum by (city_tier) (rate({_ORDERS}[$__rate_interval]))", "tier {{city_tier}}"), stacked=True,
        ),
        curves(
            "Refused orders by vertical", "ops", 12,
            promql(
                f'sum by (category) (rate(voucher_ledger_segment_outcomes_total{{{_CAMPAIGN}, type="order.rejected"}}'
                "[$__rate_interval]))",
                "{{category}}",
            ),
        ),
        curves(
            "Grants by city tier", "ops", 12,
            promql(f"sum by (city_tier) (rate({_GRANTS}[$__rate_interval]))", "tier {{city_tier}}"), stacked=True,
        ),
        curves(
            "Growth of verticals", "none", 8,
            promql(f'{_GROWTH}, by="category"}}', "{{campaign}} {{name}}"), steps=alarming(3, 5),
            about="Orders of the last whole hour, in those of the same hour the day before. None on a small base.",
        ),
        curves(
            "Growth of city tiers", "none", 8,
            promql(f'{_GROWTH}, by="city_tier"}}', "{{campaign}} tier {{name}}"), steps=alarming(3, 5),
        ),
        curves(
            "High-ticket orders", "percentunit", 8,
            promql(f"voucher_ledger_monitor_high_ticket_ratio{{{_CAMPAIGN}}}", "{{campaign}}"),
            about="Their share in the orders of five minutes.",
        ),
        curves(
            "Users by verticals ordered in", "short", 12,
            promql(f"voucher_ledger_monitor_ordering_users{{{_CAMPAIGN}}}", "{{campaign}} {{verticals}}"), stacked=True,
            about="Counted from the ledger at most once a minute, while it holds no more orders than that may cost.",
        ),
        rows(
            "Commonest pairs of verticals", 8,
            promql_now(f"sort_desc(voucher_ledger_monitor_vertical_pair_users{{{_CAMPAIGN}}})"),
            about="Users who ordered in both.",
        ),
        figure(
            "Counted", "s", 4, promql_now("time() - voucher_ledger_monitor_crossing_counted_timestamp_seconds"),
            about="How long ago users across verticals were counted.", none="not counted", height=6,
        ),
        rows(
            "Orders so far", 12,
            promql_now(f"sort_desc(sum by (category, city_tier) ({_ORDERS}))"),
            about="Since the processes that run now were started.",
        ),
        rows(
            "Budgets of verticals", 12,
            SqlQuery("""
SELECT campaign_id, category, budget_minor, committed_minor, committed_minor::float8 / nullif(budget_minor, 0) AS used
FROM ledger.category_budget ORDER BY used DESC NULLS LAST LIMIT 200"""),
            units={"used": "percentunit"},
        ),
    ]  # fmt: skip
    about = "Demand by category and city tier, against the day before."
    return board("verticals", "Verticals and tiers", about, panels, [campaign_variable(several=True)], span="now-6h")

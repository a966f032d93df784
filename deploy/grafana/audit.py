"""*Ledger audit*: what the sweeper's audit found, and what the reader's views can prove at any time."""

from typing import Any

from deploy.grafana.board import FUNDINGS, SqlQuery, alarming, board, curves, figure, promql, promql_now, rows

_FAULTS = ((None, "green"), (1, "red"))


def build() -> dict[str, Any]:
    """The dashboard as JSON."""
    about = (
        "The audit beside live traffic, and the books' balances. `voucher-ledger audit` proves all, in one snapshot."
    )
    return board("audit", "Ledger audit", about, [*_figures(), *_tables()], span="now-6h")


def _figures() -> list[Any]:
    faults = (
        "count(sum by (campaign) (voucher_ledger_balance_vouchers) != 0 "
        "or sum by (campaign, currency) (voucher_ledger_balance_minor) != 0) or vector(0)"
    )
    overdrawn = (
        'count(voucher_ledger_balance_vouchers{role!~"funding|loss"} < 0 '
        'or voucher_ledger_balance_minor{role!~"funding|loss"} < 0) or vector(0)'
    )
    return [
        figure(
            "Audit checks that fail", "short", 6, promql_now('max(voucher_ledger_audit_checks{result="failed"})'),
            steps=_FAULTS, runbook="Ledger audit failed", none="not audited",
        ),
        figure(
            "Checks left out", "short", 6, promql_now('max(voucher_ledger_audit_checks{result="left_out"})'),
            about="They take too long beside live traffic: `voucher-ledger audit` runs them.", none="not audited",
        ),
        figure(
            "Audited", "s", 6, promql_now("time() - max(voucher_ledger_audit_last_run_timestamp_seconds)"),
            about="How long ago.", steps=alarming(600, 900), runbook="Ledger not audited", none="never",
        ),
        figure(
            "An audit takes", "s", 6, promql_now("max(voucher_ledger_audit_last_run_seconds)"), none="not audited",
        ),
        rows(
            "Broken checks", 24,
            promql_now("max by (check) (voucher_ledger_audit_offending_rows) > 0"),
            about="Empty when all is well; the value is their rows. `voucher-ledger audit` names them.", height=4,
        ),
        figure(
            "Campaigns that do not sum to zero", "short", 6, promql_now(faults), steps=_FAULTS,
            runbook="Ledger audit failed",
        ),
        figure("Overdrawn roles", "short", 6, promql_now(overdrawn), steps=_FAULTS, runbook="Ledger audit failed"),
        figure(
            "Cards that demand and ledger differ by", "short", 6,
            promql_now("max(abs(voucher_ledger_monitor_reconciliation_difference_cards))"), steps=_FAULTS,
            runbook="Demand differs from ledger", none="nothing to compare",
        ),
        figure(
            "Vouchers past quota or budget", "short", 6,
            promql_now('-sum(voucher_ledger_balance_vouchers{role="loss"})'), steps=_FAULTS,
            runbook="Campaign overspends",
        ),
    ]  # fmt: skip


def _tables() -> list[Any]:
    return [
        rows(
            "Broken balances", 12,
            SqlQuery("""
SELECT campaign_id, unit, 'does not sum to zero' AS fault, sum(balance) AS amount
FROM ledger.balance GROUP BY campaign_id, unit HAVING sum(balance) <> 0
UNION ALL
SELECT campaign_id, unit, 'overdrawn: ' || role, balance
FROM ledger.balance WHERE role NOT IN ('funding', 'loss') AND balance < 0
UNION ALL
SELECT campaign_id, unit, 'a contra account above zero: ' || role, balance
FROM ledger.balance WHERE role IN ('funding', 'loss') AND balance > 0
UNION ALL
SELECT c.campaign_id, b.unit, 'funded otherwise than the campaign says',
       CASE b.unit WHEN 'VOUCHER' THEN c.quota ELSE c.budget_minor END + b.balance
FROM ledger.campaign c JOIN ledger.balance b USING (campaign_id)
WHERE b.role = 'funding' AND b.balance <> -CASE b.unit WHEN 'VOUCHER' THEN c.quota ELSE c.budget_minor END
UNION ALL
SELECT b.campaign_id, b.unit, 'a loss, though overspending is forbidden', b.balance
FROM ledger.balance b JOIN ledger.campaign c USING (campaign_id)
WHERE b.role = 'loss' AND b.balance <> 0 AND c.overspend <> 'honour'"""),
            about="Empty when all is well.",
        ),
        rows(
            "Broken outbox", 12,
            SqlQuery("""
SELECT topic, partition, first_offset, o.next_offset, p.next_offset AS position, 'past the position' AS fault
FROM ledger.outbox o JOIN ledger.position p USING (topic, partition) WHERE o.next_offset > p.next_offset
UNION ALL
SELECT topic, partition, first_offset, next_offset, following, 'a gap or an overlap after it'
FROM (SELECT topic, partition, first_offset, next_offset,
             lead(first_offset) OVER (PARTITION BY topic, partition ORDER BY first_offset) AS following
      FROM ledger.outbox) AS rows_in_order
WHERE following <> next_offset"""),
            about="Empty when all is well.",
        ),
        rows(
            "Balances", 12,
            SqlQuery("""
SELECT campaign_id, unit, max(balance) FILTER (WHERE role = 'funding') AS funding,
       max(balance) FILTER (WHERE role = 'pool') AS pool, max(balance) FILTER (WHERE role = 'lease') AS lease,
       max(balance) FILTER (WHERE role = 'granted') AS granted, max(balance) FILTER (WHERE role = 'held') AS held,
       max(balance) FILTER (WHERE role = 'spent') AS spent, max(balance) FILTER (WHERE role = 'loss') AS loss
FROM ledger.balance GROUP BY campaign_id, unit ORDER BY campaign_id, unit LIMIT 200"""),
            about="By role; each line sums to zero.", height=9,
        ),
        rows(
            "Fundings and who approved them", 12,
            SqlQuery(f"SELECT * FROM ({FUNDINGS}) AS funding WHERE $__timeFilter(at) ORDER BY at DESC LIMIT 200"),
            about="An opening is approved by nobody else.", height=9,
        ),
        curves(
            "Money by role", "short", 24,
            promql('sum by (campaign, role) (voucher_ledger_balance_minor{role!="funding"})', "{{campaign}} {{role}}"),
        ),
    ]  # fmt: skip

"""A snapshot as tables for people."""

from collections.abc import Iterable
from itertools import groupby

from rich.console import Group
from rich.table import Table

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.status.snapshot import Balance, PartitionStatus, Snapshot


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _seconds(value: float | None) -> str:
    return "?" if value is None else f"{value:,.1f}"


def positions_table(partitions: Iterable[PartitionStatus]) -> Table:
    """One row a partition."""
    table = Table(title="Positions")
    table.add_column("topic")
    for name in ("partition", "decided", "published", "end", "lag, records", "lag, s", "unpublished", "dead letters"):
        table.add_column(name, justify="right")
    table.add_column("instance")
    for partition in partitions:
        table.add_row(
            partition.topic,
            str(partition.partition),
            "-" if partition.next_offset is None else f"{partition.next_offset:,}",
            "-" if partition.published_offset is None else f"{partition.published_offset:,}",
            f"{partition.end_offset:,}",
            f"{partition.lag_records:,}",
            _seconds(partition.lag_seconds),
            _number(partition.unpublished_records),
            f"{partition.dead_lettered:,}",
            partition.instance or "-",
            style="yellow" if partition.lag_records else "",
        )
    return table


def balances_table(balances: Iterable[Balance]) -> Table:
    """One row a campaign and unit, one column a role."""
    roles = ("funding", "pool", "lease", "granted", "held", "spent", "loss")
    table = Table(title="Balances")
    table.add_column("campaign")
    table.add_column("unit")
    for role in roles:
        table.add_column(role, justify="right")
    for (campaign_id, unit), rows in groupby(balances, key=lambda row: (row.campaign_id, row.unit)):
        by_role = {row.role: row.balance for row in rows}
        label = unit if unit == "VOUCHER" else f"{unit}, minor units"
        table.add_row(campaign_id, label, *(f"{by_role.get(role, 0):,}" for role in roles))
    return table


def tables(snapshot: Snapshot) -> Group:
    """Everything, with a line of totals last."""
    totals = (
        f"{rfc3339(snapshot.at_ms)}: {snapshot.lag_records:,} records waiting, the oldest for "
        f"{_seconds(snapshot.lag_seconds)} s; {snapshot.dead_letters:,} dead letters"
    )
    return Group(positions_table(snapshot.partitions), balances_table(snapshot.balances), totals)

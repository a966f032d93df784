"""A snapshot as tables for people."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.box import SIMPLE
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.status.snapshot import VOUCHER, Balance, CampaignStatus, PartitionStatus, Snapshot


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _seconds(value: float | None) -> str:
    return "?" if value is None else f"{value:,.1f}"


def positions_table(partitions: Iterable[PartitionStatus]) -> Table:
    """One row a partition."""
    table = Table(title="Positions", box=SIMPLE, padding=(0, 1))
    table.add_column("partition", no_wrap=True)
    for name in ("decided", "published", "end", "lag", "lag s", "dead letters"):
        # Folded on a narrow terminal: half a number would be a wrong one.
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("instance", overflow="fold")
    for partition in partitions:
        table.add_row(
            f"{partition.topic}/{partition.partition}",
            _number(partition.next_offset),
            _number(partition.published_offset),
            f"{partition.end_offset:,}",
            f"{partition.lag_records:,}",
            _seconds(partition.lag_seconds),
            f"{partition.dead_lettered:,}",
            escape(partition.instance or "-"),
            style="yellow" if partition.lag_records else "",
        )
    return table


def topics_table(partitions: Iterable[PartitionStatus]) -> Table:
    """One row a topic, all its partitions together."""
    table = Table(box=SIMPLE, padding=(0, 1), show_edge=False)
    table.add_column("topic", no_wrap=True)
    for name in ("decided", "unpublished", "lag", "lag s", "dead letters"):
        table.add_column(name, justify="right", overflow="fold")
    for topic, rows in groupby(partitions, key=lambda partition: partition.topic):
        all_rows = list(rows)
        unpublished = [row.unpublished_records for row in all_rows]
        ages = [row.lag_seconds for row in all_rows]
        lag_records = sum(row.lag_records for row in all_rows)
        table.add_row(
            topic,
            f"{sum(row.decided for row in all_rows):,}",
            "?" if None in unpublished else f"{sum(filter(None, unpublished)):,}",
            f"{lag_records:,}",
            "?" if None in ages else _seconds(max(filter(None, ages), default=0.0)),
            f"{sum(row.dead_lettered for row in all_rows):,}",
            style="yellow" if lag_records else "",
        )
    return table


def balances_table(rows: Iterable[Sequence[str]], *, title: str | None = None) -> Table:
    """The rows of `balances_rows`."""
    table = Table(title=title, box=SIMPLE, padding=(0, 1), show_edge=title is not None)
    table.add_column("campaign", overflow="fold")
    table.add_column("role")
    table.add_column("vouchers", justify="right")
    table.add_column("minor units", justify="right")
    table.add_column("currency")
    for row in rows:
        table.add_row(*row)
    return table


def balances_rows(balances: Iterable[Balance]) -> list[Sequence[str]]:
    """One row a campaign and role, for roles that hold anything; the campaign is named in its first."""
    found: list[Sequence[str]] = []
    for campaign_id, of_campaign in groupby(balances, key=lambda row: row.campaign_id):
        rows = list(of_campaign)
        currency = next((row.unit for row in rows if row.unit != VOUCHER), "-")
        shown = escape(campaign_id)
        for role in dict.fromkeys(row.role for row in rows):
            by_unit = {row.unit: row.balance for row in rows if row.role == role}
            vouchers, amount_minor = by_unit.get(VOUCHER, 0), by_unit.get(currency, 0)
            if vouchers or amount_minor:
                found.append((shown, role, f"{vouchers:,}", f"{amount_minor:,}", currency))
                shown = ""
    return found


def campaigns_table(campaigns: Iterable[CampaignStatus]) -> Table:
    """One row a campaign, in vouchers and UTC."""
    table = Table(title="Campaigns", box=SIMPLE, padding=(0, 1))
    table.add_column("campaign", overflow="fold")
    table.add_column("state")
    for name in ("quota", "granted", "claimable now"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("next tranche", overflow="fold")
    table.add_column("waiting", justify="right", overflow="fold")
    table.add_column("oldest since", overflow="fold")
    table.add_column("ends_at", overflow="fold")
    for campaign in campaigns:
        tranche, since_ms = campaign.next_tranche, campaign.waiting_since_ms
        table.add_row(
            escape(campaign.campaign_id),
            campaign.state,
            f"{campaign.quota:,}",
            f"{campaign.granted:,}",
            f"{campaign.claimable:,}",
            "-" if tranche is None else f"{tranche.quota:,} at {_moment(tranche.at_ms)}",
            f"{campaign.waiting:,}",
            "-" if since_ms is None else _moment(since_ms),
            _moment(campaign.ends_at_ms),
            style="yellow" if campaign.waiting else "",
        )
    return table


def _moment(time_ms: int) -> str:
    """To the second: milliseconds would cost a narrow terminal another line."""
    return f"{rfc3339(time_ms)[:19]}Z"


def _totals(snapshot: Snapshot) -> str:
    return (
        f"{snapshot.lag_records:,} records waiting, the oldest for {_seconds(snapshot.lag_seconds)} s; "
        f"{snapshot.dead_letters:,} dead letters"
    )


def tables(snapshot: Snapshot) -> Group:
    """Everything, with a line of totals last: on a terminal it stands above the next prompt."""
    balances = balances_table(balances_rows(snapshot.balances), title="Balances")
    more = snapshot.campaigns_more
    return Group(
        positions_table(snapshot.partitions),
        balances,
        campaigns_table(snapshot.campaigns),
        *([f" and {more:,} more campaigns, which run at another time or ended longer ago", ""] if more else []),
        f"{rfc3339(snapshot.at_ms)}: {_totals(snapshot)}",
    )


def screen(snapshot: Snapshot, console: Console) -> Group:
    """What fits the terminal that is watched: the totals first, a row a topic, then as many balances as have room, and
    below them the campaigns where all of them have.
    """
    balances = balances_rows(snapshot.balances)
    shown = min(len(balances), console.height)
    campaigns: list[RenderableType] = [campaigns_table(snapshot.campaigns)] if snapshot.campaigns else []
    while True:
        more = len(balances) - shown
        parts: list[RenderableType] = [
            f"{_totals(snapshot)}; {rfc3339(snapshot.at_ms)[11:19]} UTC",
            "",
            topics_table(snapshot.partitions),
            "",
            balances_table(balances[:shown]),
            *([f" and {more:,} more rows, which `voucher-ledger status` shows"] if more else []),
            *campaigns,
        ]
        # Rendered to be counted: a long campaign's id, say, takes several lines.
        if (not shown and not campaigns) or len(console.render_lines(Group(*parts), pad=False)) <= console.height:
            return Group(*parts)
        if campaigns:
            campaigns = []
        else:
            shown -= 1

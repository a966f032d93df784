"""A snapshot as tables for people."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.text import Text

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.produce.layouts import Fitting, Rows
from voucher_ledger.status.snapshot import VOUCHER, Balance, CampaignStatus, PartitionStatus, Snapshot

# What a name is folded to at the least, before a layout with less beside it is taken.
CAMPAIGN_CELLS_MIN = 16
INSTANCE_CELLS_MIN = 11

_SHORT = {"dead letters": "dead", "claimable now": "claimable"}


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _seconds(value: float | None) -> str:
    return "?" if value is None else f"{value:,.1f}"


def positions_table(partitions: Iterable[PartitionStatus]) -> Fitting:
    """One row a partition; on a narrow terminal without what others tell (the end is what is decided and the lag)."""
    found = list(partitions)
    layout = partial(
        Rows,
        [_position_row(partition) for partition in found],
        title="Positions",
        right=("decided", "published", "end", "lag", "lag s", "dead letters"),
        folded={"instance": INSTANCE_CELLS_MIN},
        short=_SHORT,
        styles=["yellow" if partition.lag_records else "" for partition in found],
    )
    return Fitting(
        layout(
            columns=("partition", "decided", "published", "end", "lag", "lag s", "dead letters", "instance"), roomy=True
        ),
        layout(columns=("partition", "decided", "end", "lag", "lag s", "dead letters", "instance")),
        layout(columns=("partition", "decided", "lag", "lag s", "instance")),
    )


def _position_row(partition: PartitionStatus) -> dict[str, str]:
    return {
        "partition": f"{partition.topic}/{partition.partition}",
        "decided": _number(partition.next_offset),
        "published": _number(partition.published_offset),
        "end": f"{partition.end_offset:,}",
        "lag": f"{partition.lag_records:,}",
        "lag s": _seconds(partition.lag_seconds),
        "dead letters": f"{partition.dead_lettered:,}",
        "instance": (partition.instance if partition.instance_lives else None) or "-",
    }


def topics_table(partitions: Iterable[PartitionStatus]) -> Fitting:
    """One row a topic, all its partitions together."""
    rows = [_topic_row(topic, list(found)) for topic, found in groupby(partitions, key=lambda found: found.topic)]
    layout = partial(
        Rows,
        rows,
        right=("decided", "unpublished", "lag", "lag s", "dead letters"),
        short=_SHORT,
        styles=["" if row["lag"] == "0" else "yellow" for row in rows],
    )
    columns = ("topic", "decided", "unpublished", "lag", "lag s", "dead letters")
    return Fitting(
        layout(columns=columns, roomy=True),
        layout(columns=columns),
        layout(columns=("topic", "decided", "lag", "lag s", "dead letters")),
    )


def _topic_row(topic: str, rows: Sequence[PartitionStatus]) -> dict[str, str]:
    unpublished = [row.unpublished_records for row in rows]
    ages = [row.lag_seconds for row in rows]
    return {
        "topic": topic,
        "decided": f"{sum(row.decided for row in rows):,}",
        "unpublished": "?" if None in unpublished else f"{sum(filter(None, unpublished)):,}",
        "lag": f"{sum(row.lag_records for row in rows):,}",
        "lag s": "?" if None in ages else _seconds(max(filter(None, ages), default=0.0)),
        "dead letters": f"{sum(row.dead_lettered for row in rows):,}",
    }


def balances_table(rows: Sequence[Mapping[str, str]], *, title: str | None = None) -> Fitting:
    """The rows of `balances_rows`."""
    held = ("role", "vouchers", "minor units", "currency")
    layout = partial(
        Rows, rows, title=title, right=("vouchers", "minor units"), folded={"campaign": CAMPAIGN_CELLS_MIN}
    )
    return Fitting(
        layout(columns=("campaign", *held), roomy=True),
        layout(columns=("campaign", *held)),
        layout(columns=held, below=[("campaign",)]),
    )


def balances_rows(balances: Iterable[Balance]) -> list[Mapping[str, str]]:
    """One row a campaign and role, for roles that hold anything; the campaign is named in its first."""
    found: list[Mapping[str, str]] = []
    for campaign_id, of_campaign in groupby(balances, key=lambda row: row.campaign_id):
        rows = list(of_campaign)
        currency = next((row.unit for row in rows if row.unit != VOUCHER), "-")
        shown = campaign_id
        for role in dict.fromkeys(row.role for row in rows):
            by_unit = {row.unit: row.balance for row in rows if row.role == role}
            vouchers, amount_minor = by_unit.get(VOUCHER, 0), by_unit.get(currency, 0)
            if vouchers or amount_minor:
                found.append(
                    {
                        "campaign": shown,
                        "role": role,
                        "vouchers": f"{vouchers:,}",
                        "minor units": f"{amount_minor:,}",
                        "currency": currency,
                    }
                )
                shown = ""
    return found


def campaigns_table(campaigns: Iterable[CampaignStatus]) -> Fitting:
    """One row a campaign, in vouchers and UTC; on a narrow terminal with its times, then its id, below it."""
    found = list(campaigns)
    layout = partial(
        Rows,
        [_campaign_row(campaign) for campaign in found],
        title="Campaigns",
        right=("quota", "granted", "claimable now", "waiting"),
        short=_SHORT,
        styles=["yellow" if campaign.waiting else "" for campaign in found],
    )
    counts = ("state", "quota", "granted", "claimable now")
    return Fitting(
        layout(columns=("campaign", *counts, "next tranche", "waiting", "oldest since", "ends_at"), roomy=True),
        layout(columns=("campaign", *counts, "waiting", "ends_at"), below=[("next tranche", "oldest since")]),
        layout(columns=("campaign", *counts, "waiting"), below=[("ends_at", "next tranche", "oldest since")]),
        layout(columns=(*counts, "waiting"), below=[("campaign",), ("ends_at", "next tranche"), ("oldest since",)]),
    )


def _campaign_row(campaign: CampaignStatus) -> dict[str, str]:
    tranche, since_ms = campaign.next_tranche, campaign.waiting_since_ms
    return {
        "campaign": campaign.campaign_id,
        "state": campaign.state,
        "quota": f"{campaign.quota:,}",
        "granted": f"{campaign.granted:,}",
        "claimable now": f"{campaign.claimable:,}",
        "next tranche": "-" if tranche is None else f"{tranche.quota:,} at {_moment(tranche.at_ms)}",
        "waiting": f"{campaign.waiting:,}",
        "oldest since": "-" if since_ms is None else _moment(since_ms),
        "ends_at": _moment(campaign.ends_at_ms),
    }


def _moment(time_ms: int) -> str:
    """To the second: milliseconds would cost a narrow terminal another line."""
    return f"{rfc3339(time_ms)[:19]}Z"


def _totals(snapshot: Snapshot) -> Text:
    """One line of a usual terminal. A text, since rich would colour the numbers of a mere string."""
    return Text(
        f"{snapshot.lag_records:,} records waiting, oldest {_seconds(snapshot.lag_seconds)} s; "
        f"{snapshot.dead_letters:,} dead letters; {rfc3339(snapshot.at_ms)[11:19]} UTC"
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
        _totals(snapshot),
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
            _totals(snapshot),
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

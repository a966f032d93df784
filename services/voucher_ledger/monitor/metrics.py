"""The monitor's metrics: worked out from its last round at each scrape, so that none outlives its campaign."""

from collections.abc import Iterator
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from voucher_ledger.monitor.crossing import Crossing
from voucher_ledger.monitor.outlook import Outlook
from voucher_ledger.monitor.store import Store
from voucher_ledger.monitor.watch import Watch

PREFIX = "voucher_ledger_monitor"


class Entry(NamedTuple):
    """A metric: its name after PREFIX, what it says, its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


# Labels are bounded: campaigns by CAMPAIGNS_MAX of a partition and of a reading, categories by NAMES_MAX of a bucket.
RECORDS = Entry("records_total", "Rollups read from ledger.demand", ("result",))
ROWS = Entry("rows_total", "Rows of rollups read from ledger.demand")
LATE_ROWS = Entry("late_rows_total", "Rows older than the oldest minute that is kept")
READY = Entry("ready", "1 while demand is recovered and the ledger read")
DEMAND_LAG = Entry("demand_lag_records", "Rollups that wait to be read; the end of a transaction counts as one")
READING_AGE = Entry("ledger_reading_timestamp_seconds", "When the ledger was last read, since 1970")
AS_OF = Entry("as_of_timestamp_seconds", "Record time up to which demand is known, since 1970", ("campaign",))
CARDS_LEFT = Entry("cards_left", "Vouchers in pool and leases", ("campaign",))
CARDS_PLANNED = Entry("cards_left_planned", "Vouchers that the plan has left at this moment", ("campaign",))
BUDGET_LEFT = Entry("budget_left_minor", "Money in pool and leases, minor units", ("campaign",))
BUDGET_USED = Entry("budget_used_ratio", "Share of the budget that is used", ("campaign",))
GRANT_RATE = Entry("grants_per_second", "Net grants a second, percentiles of the trend", ("campaign", "percentile"))
FORECAST = Entry(
    "forecast_end_timestamp_seconds",
    "When it is gone, since 1970; absent where never, and once the campaign is over",
    ("campaign", "of", "bound"),
)
PLANNED_END = Entry("planned_end_timestamp_seconds", "The campaign's ends_at, since 1970", ("campaign",))
REFUSED = Entry(
    "refusals_ratio",
    "Refusals of the room's answers in the last five minutes, without those that came too early",
    ("campaign", "room"),
)
GROWTH = Entry(
    "growth_ratio",
    "Orders of the last whole hour of the day before's; absent on a small base",
    ("campaign", "by", "name"),
)
HIGH_TICKET = Entry("high_ticket_ratio", "Share of high-ticket orders in the last five minutes", ("campaign",))
DIFFERENCE = Entry(
    "reconciliation_difference_cards", "Cards out by demand less those of the ledger, beyond what may be", ("campaign",)
)
ORDERING_USERS = Entry(
    "ordering_users",
    "Users by the number of verticals they ordered in, counted from the ledger",
    ("campaign", "verticals"),
)
PAIR_USERS = Entry(
    "vertical_pair_users",
    "Users who ordered in both verticals, of the commonest pairs",
    ("campaign", "first", "second"),
)
CROSSING_AT = Entry("crossing_counted_timestamp_seconds", "When users across verticals were counted, since 1970")
ALERT = Entry("alert_firing", "1 for each alert that fires", ("campaign", "alert", "subject", "severity"))

CATALOGUE = (
    RECORDS, ROWS, LATE_ROWS, READY, DEMAND_LAG, READING_AGE, AS_OF, CARDS_LEFT, CARDS_PLANNED, BUDGET_LEFT,
    BUDGET_USED, GRANT_RATE, FORECAST, PLANNED_END, REFUSED, GROWTH, HIGH_TICKET, DIFFERENCE, ORDERING_USERS,
    PAIR_USERS, CROSSING_AT, ALERT,
)  # fmt: skip


class WatchCollector(Collector):
    """Gives a Watch's figures to prometheus_client."""

    def __init__(self, watch: Watch, store: Store) -> None:
        self._watch = watch
        self._store = store

    def describe(self) -> list[Metric]:
        """Nothing is collected at registration: there was no round yet."""
        return [_family(entry) for entry in CATALOGUE]

    def collect(self) -> Iterator[Metric]:
        """All metrics of CATALOGUE, those without a sample too."""
        families = {entry: _family(entry) for entry in CATALOGUE}
        for entry, labels, value in self._samples():
            families[entry].add_metric(labels, value)
        yield from families.values()

    def _samples(self) -> Iterator[tuple[Entry, tuple[str, ...], float]]:
        counted = self._store.counted
        yield RECORDS, ("counted",), counted.records - counted.redelivered
        yield RECORDS, ("redelivered",), counted.redelivered
        yield RECORDS, ("malformed",), counted.malformed
        yield ROWS, (), counted.rows
        yield LATE_ROWS, (), counted.late_rows
        yield READY, (), float(self._watch.why_not_ready() is None)
        if self._watch.lag_records is not None:
            yield DEMAND_LAG, (), self._watch.lag_records
        if self._watch.reading is not None:
            yield READING_AGE, (), self._watch.reading.read_at
        crossing = self._watch.crossing
        if crossing.counted_at is not None:
            yield CROSSING_AT, (), crossing.counted_at
        for one in self._watch.outlooks.values():
            yield from _of_campaign(one)
            if one.campaign_id in crossing.found:
                yield from _crossing(one.campaign_id, crossing.found[one.campaign_id])
        for stands in self._watch.standing.values():
            if stands.told:
                key = stands.condition.key
                yield ALERT, (key.campaign_id, key.alert, key.subject, stands.condition.severity), 1.0


def registry(watch: Watch, store: Store) -> CollectorRegistry:
    """A registry of its own with the monitor's metrics."""
    made = CollectorRegistry(auto_describe=False)
    made.register(WatchCollector(watch, store))
    return made


def _of_campaign(one: Outlook) -> Iterator[tuple[Entry, tuple[str, ...], float]]:
    campaign = one.campaign_id
    yield AS_OF, (campaign,), one.as_of
    yield HIGH_TICKET, (campaign,), one.high_ticket_share
    for refusals in one.refusals:
        yield REFUSED, (campaign, refusals.room), refusals.share
    for by, grown in (("category", one.by_category), ("city_tier", one.by_tier)):
        for growth in grown:
            if growth.ratio is not None:
                yield GROWTH, (campaign, by, growth.name), growth.ratio
    yield from _forecast(one)
    if one.reconciliation is not None:
        yield DIFFERENCE, (campaign,), one.reconciliation.difference
    if one.facts is not None:
        yield CARDS_LEFT, (campaign,), one.facts.cards_left
        yield BUDGET_LEFT, (campaign,), one.facts.budget_left_minor
        yield BUDGET_USED, (campaign,), one.facts.budget_used_share
        yield PLANNED_END, (campaign,), one.facts.ends_at
        if one.planned_granted is not None:
            yield CARDS_PLANNED, (campaign,), one.facts.quota - one.planned_granted


def _crossing(campaign: str, found: Crossing) -> Iterator[tuple[Entry, tuple[str, ...], float]]:
    for verticals, users in found.users.items():
        yield ORDERING_USERS, (campaign, verticals), users
    for first, second, users in found.pairs:
        yield PAIR_USERS, (campaign, first, second), users


def _forecast(one: Outlook) -> Iterator[tuple[Entry, tuple[str, ...], float]]:
    campaign = one.campaign_id
    if one.rates is not None:
        for percentile, rate in zip(("10", "50", "90"), one.rates, strict=True):
            yield GRANT_RATE, (campaign, percentile), rate
    # Of what is over nothing is foretold: its end would stand first among those of the campaigns that run.
    if one.facts is None or one.facts.state == "closed" or one.as_of >= one.facts.ends_at:
        return
    for of, end in (("cards", one.cards_end), ("budget", one.budget_end)):
        for bound, moment in () if end is None else end._asdict().items():
            if moment is not None:
                yield FORECAST, (campaign, of, bound), moment


def _family(entry: Entry) -> CounterMetricFamily | GaugeMetricFamily:
    name = f"{PREFIX}_{entry.name}"
    if entry.name.endswith("_total"):
        return CounterMetricFamily(name, entry.help, labels=entry.labels)
    return GaugeMetricFamily(name, entry.help, labels=entry.labels)

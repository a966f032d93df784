"""What the ledger's views say, as metrics."""

import math
from typing import NamedTuple

import psycopg
from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC
from voucher_ledger.core.records import Place
from voucher_ledger.ledger.model import ROLES
from voucher_ledger.metrics import catalogue
from voucher_ledger.metrics.labels import LEDGER_CAMPAIGNS_MAX, OTHER
from voucher_ledger.metrics.metric import Metric

# The campaigns that run now are named first, of them those with the least left: what is sold out must not be hidden by
# what ends later. Then come those that end last.
_NAMED = """
WITH unspent AS (
    SELECT campaign_id, sum(balance) FILTER (WHERE unit = 'VOUCHER') AS vouchers,
           sum(balance) FILTER (WHERE unit <> 'VOUCHER') AS minor
    FROM ledger.balance WHERE role IN ('pool', 'lease') GROUP BY campaign_id),
placed AS (
    SELECT c.campaign_id, c.ends_at, c.state <> 'closed' AND c.starts_at <= now() AND now() < c.ends_at AS runs,
           least(u.vouchers / nullif(c.quota, 0), u.minor / nullif(c.budget_minor, 0)) AS share_left
    FROM ledger.campaign c LEFT JOIN unspent u USING (campaign_id))
SELECT campaign_id, runs, count(*) FILTER (WHERE runs) OVER () FROM placed
ORDER BY runs DESC, CASE WHEN runs THEN share_left END, ends_at DESC, campaign_id LIMIT %s"""

# The rest are one, `other`.
_CAMPAIGNS = """
SELECT coalesce(n.campaign_id, %(other)s) AS campaign, c.currency, sum(c.quota)::bigint, sum(c.budget_minor)::bigint,
       bool_or(c.state = 'open'), extract(epoch FROM min(c.starts_at))::float8,
       extract(epoch FROM max(c.ends_at))::float8, extract(epoch FROM max(greatest(c.starts_at, r.at)))::float8,
       extract(epoch FROM min(r.next_at))::float8
FROM ledger.campaign c LEFT JOIN unnest(%(named)s::text[]) AS n (campaign_id) USING (campaign_id)
LEFT JOIN (SELECT campaign_id, max(at) FILTER (WHERE at <= now()) AS at, min(at) FILTER (WHERE at > now()) AS next_at
           FROM ledger.tranche GROUP BY 1) r USING (campaign_id)
GROUP BY 1, 2"""

_BALANCES = """
SELECT coalesce(n.campaign_id, %(other)s) AS campaign, b.role, b.unit, sum(b.balance)::bigint
FROM ledger.balance b LEFT JOIN unnest(%(named)s::text[]) AS n (campaign_id) USING (campaign_id) GROUP BY 1, 2, 3"""

# The head's time is a record's: where a simulation gives out times to come, nobody has waited yet.
_WAITING = """
SELECT coalesce(n.campaign_id, %(other)s) AS campaign, coalesce(sum(w.waiting), 0)::bigint,
       coalesce(greatest(0, extract(epoch FROM now() - min(w.head_queued_at)))::float8, 0)
FROM ledger.campaign c LEFT JOIN unnest(%(named)s::text[]) AS n (campaign_id) USING (campaign_id)
LEFT JOIN ledger.waiting_line w USING (campaign_id)
GROUP BY 1"""

_POSITIONS = """
SELECT topic, partition, next_offset, epoch, decided, dead_lettered, extract(epoch FROM record_time)::float8
FROM ledger.position"""

_OUTBOX = """
SELECT topic, count(*), sum(next_offset - first_offset)::bigint FROM ledger.outbox GROUP BY topic"""


class Named(NamedTuple):
    """The campaigns that have series of their own, and how many that run now have none."""

    campaign_ids: list[str]
    running_unnamed: int


class Position(NamedTuple):
    """A partition's position; `record_time_seconds` is that of the latest decided record, since 1970."""

    next_offset: int
    epoch: int
    decided: int
    dead_lettered: int
    record_time_seconds: float | None


def family(metric: Metric) -> GaugeMetricFamily | CounterMetricFamily:
    """The catalogue's entry without samples."""
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=metric.labels)


def read_up(value: int) -> Family:
    """Whether the ledger could be read."""
    return GaugeMetricFamily(catalogue.LEDGER_UP.name, catalogue.LEDGER_UP.help, value=value)


def name_campaigns(connection: psycopg.Connection) -> Named:
    """Choose whom to name, once a look: all its figures are of the same ones. These functions raise psycopg.Error."""
    rows = connection.execute(_NAMED, (LEDGER_CAMPAIGNS_MAX,)).fetchall()
    running = rows[0][2] if rows else 0
    return Named([row[0] for row in rows], running - sum(row[1] for row in rows))


def unnamed(named: Named) -> Family:
    """How many run and are not named."""
    found = family(catalogue.UNNAMED)
    found.add_metric((), named.running_unnamed)
    return found


def campaigns(connection: psycopg.Connection, named: Named) -> list[Family]:
    """What campaigns were opened with, top-ups included."""
    quota, budget, is_open = family(catalogue.QUOTA), family(catalogue.BUDGET), family(catalogue.OPEN)
    starts, ends, released = family(catalogue.STARTS), family(catalogue.ENDS), family(catalogue.RELEASED)
    next_release = family(catalogue.NEXT_RELEASE)
    totals: dict[str, tuple[int, bool, float, float, float, float]] = {}
    rows = connection.execute(_CAMPAIGNS, _others_are_one(named))
    for campaign, currency, vouchers, amount_minor, opened, starts_at, ends_at, released_at, next_at in rows:
        budget.add_metric((campaign, currency), amount_minor)
        next_or_never = math.inf if next_at is None else next_at
        before = totals.get(campaign, (0, False, starts_at, ends_at, released_at, next_or_never))
        totals[campaign] = (
            before[0] + vouchers, before[1] or opened, min(before[2], starts_at), max(before[3], ends_at),
            max(before[4], released_at), min(before[5], next_or_never),
        )  # fmt: skip
    for campaign, (vouchers, opened, starts_at, ends_at, released_at, next_or_never) in totals.items():
        quota.add_metric((campaign,), vouchers)
        is_open.add_metric((campaign,), float(opened))
        starts.add_metric((campaign,), starts_at)
        ends.add_metric((campaign,), ends_at)
        released.add_metric((campaign,), released_at)
        if next_or_never != math.inf:
            next_release.add_metric((campaign,), next_or_never)
    return [quota, budget, is_open, starts, ends, released, next_release]


def balances(connection: psycopg.Connection, named: Named) -> list[Family]:
    """Vouchers and money by role."""
    vouchers, money = family(catalogue.VOUCHERS), family(catalogue.MONEY)
    rows = connection.execute(_BALANCES, _others_are_one(named))
    found = {(campaign, unit, role): balance for campaign, role, unit, balance in rows}
    # A role that has no account yet is 0: a share of it must not be missing.
    for campaign, unit in sorted({(campaign, unit) for campaign, unit, _ in found}):
        for role in ROLES:
            balance = found.get((campaign, unit, role), 0)
            if unit == "VOUCHER":
                vouchers.add_metric((campaign, role), balance)
            else:
                money.add_metric((campaign, unit, role), balance)
    return [vouchers, money]


def waiting(connection: psycopg.Connection, named: Named) -> list[Family]:
    """How many wait for vouchers, and how long the first of them has."""
    users, age = family(catalogue.WAITING), family(catalogue.WAITING_AGE)
    for campaign, waiting_users, age_seconds in connection.execute(_WAITING, _others_are_one(named)):
        users.add_metric((campaign,), waiting_users)
        age.add_metric((campaign,), age_seconds)
    return [users, age]


def outbox(connection: psycopg.Connection) -> list[Family]:
    """What is decided and not published."""
    batches, records = family(catalogue.OUTBOX_BATCHES), family(catalogue.OUTBOX_RECORDS)
    found = {topic: counts for topic, *counts in connection.execute(_OUTBOX)}
    for topic in COMMANDS_BY_TOPIC:
        waiting_batches, waiting_records = found.get(topic, (0, 0))
        batches.add_metric((topic,), waiting_batches)
        records.add_metric((topic,), waiting_records)
    return [batches, records]


def read_positions(connection: psycopg.Connection) -> dict[Place, Position]:
    """The ledger's position in each partition that was ever held."""
    return {(row[0], row[1]): Position(*row[2:]) for row in connection.execute(_POSITIONS)}


def places(positions: dict[Place, Position]) -> list[Family]:
    """Positions as metrics."""
    offsets, epochs = family(catalogue.POSITION), family(catalogue.EPOCH)
    for (topic, partition), position in positions.items():
        offsets.add_metric((topic, str(partition)), position.next_offset)
        epochs.add_metric((topic, str(partition)), position.epoch)
    decided, dead_lettered = family(catalogue.DECIDED), family(catalogue.DEAD_LETTERED)
    for name in COMMANDS_BY_TOPIC:
        own = [position for (topic, _), position in positions.items() if topic == name]
        decided.add_metric((name,), sum(position.decided for position in own))
        dead_lettered.add_metric((name,), sum(position.dead_lettered for position in own))
    return [offsets, epochs, decided, dead_lettered]


def _others_are_one(named: Named) -> dict[str, object]:
    return {"named": named.campaign_ids, "other": OTHER}

"""The metrics of the ledger itself: campaigns, balances, positions, lag, outbox. Read by one process of all.

Every sweeper's process has such a collector, and whichever holds the lock serves its metrics; the others serve none of
them. So sums in dashboards count nothing twice, and a successor goes on where one dies.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import psycopg
import structlog
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC
from voucher_ledger.metrics import catalogue
from voucher_ledger.metrics.labels import CAMPAIGNS_MAX, OTHER
from voucher_ledger.metrics.metric import Metric
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.errors import NotSetUp, Unreachable
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, admin_config
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.troubles import Troubles

# A look serves every scrape of so long: who scrapes often, or twice, costs the database no more.
LOOK_SECONDS = 5.0
LOCK_NAME = "voucher-ledger-ledger-metrics"
_ROLE = "voucher_ledger_writer"

# The campaigns that end last are named, since those are the ones that still run; the rest are one, `other`.
_CAMPAIGNS = """
WITH named AS (SELECT campaign_id FROM ledger.campaign ORDER BY ends_at DESC, campaign_id LIMIT %(named_max)s)
SELECT coalesce(n.campaign_id, %(other)s) AS campaign, c.currency, sum(c.quota)::bigint, sum(c.budget_minor)::bigint,
       bool_or(c.state = 'open'), extract(epoch FROM min(c.starts_at))::float8,
       extract(epoch FROM max(c.ends_at))::float8
FROM ledger.campaign c LEFT JOIN named n USING (campaign_id) GROUP BY 1, 2"""

_BALANCES = """
WITH named AS (SELECT campaign_id FROM ledger.campaign ORDER BY ends_at DESC, campaign_id LIMIT %(named_max)s)
SELECT coalesce(n.campaign_id, %(other)s) AS campaign, b.role, b.unit, sum(b.balance)::bigint
FROM ledger.balance b LEFT JOIN named n USING (campaign_id) GROUP BY 1, 2, 3"""

_POSITIONS = """
SELECT topic, partition, next_offset, epoch, decided, dead_lettered, extract(epoch FROM record_time)::float8
FROM ledger.position"""

_OUTBOX = """
SELECT topic, count(*), sum(next_offset - first_offset)::bigint FROM ledger.outbox GROUP BY topic"""

_NAMED = {"named_max": CAMPAIGNS_MAX, "other": OTHER}
_ROLES = ("funding", "pool", "lease", "granted", "held", "spent", "loss")

log = structlog.get_logger()

Place = tuple[str, int]


class _Position(NamedTuple):
    next_offset: int
    epoch: int
    decided: int
    dead_lettered: int
    record_time_seconds: float | None


class LedgerCollector(Collector):
    """Looks at most every LOOK_SECONDS, when somebody scrapes. A look that fails is told by `ledger_read_up`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._connection: psycopg.Connection | None = None
        self._admin: AdminClient | None = None
        self._families: list[Family] = []
        self._looked_seconds = float("-inf")
        self._caught_up_seconds: dict[Place, float] = {}
        self._is_reader = False
        self._failing = False

    def describe(self) -> Iterator[Family]:
        """What it may tell; no database is looked at for that."""
        yield from (_family(metric) for metric in catalogue.LEDGER)

    def collect(self) -> Iterator[Family]:
        """The latest look, at most LOOK_SECONDS old."""
        with self._lock:
            if time.monotonic() - self._looked_seconds >= LOOK_SECONDS:
                self._families = self._look()
                self._looked_seconds = time.monotonic()
            families = self._families
        yield from families

    def close(self) -> None:
        """Give up the connection, and the lock with it."""
        with self._lock:
            self._disconnect()

    def _look(self) -> list[Family]:
        try:
            connection = self._connected()
            self._is_reader = self._is_reader or postgres.try_lock(connection, LOCK_NAME)
            if not self._is_reader:
                return []
            families = [*_campaigns(connection), *_balances(connection), *_outbox(connection)]
            # Positions are read before the ends, so that a lag may look a moment too large, never below 0.
            positions = {(row[0], row[1]): _Position(*row[2:]) for row in connection.execute(_POSITIONS)}
            families += [*_positions(positions), *self._lags(positions, self._ends())]
        except (psycopg.Error, KafkaException, Unreachable, NotSetUp) as error:
            if not self._failing:
                log.warning("the ledger's metrics can't be read", cause=str(error).strip())
            self._failing = True
            self._disconnect()
            return [_up(0)]
        self._failing = False
        return [_up(1), *families]

    def _connected(self) -> psycopg.Connection:
        if self._connection is None:
            self._connection = postgres.connect(self._settings.postgres, application="metrics", role=_ROLE)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection, self._is_reader = self._connection, None, False
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def _ends(self) -> dict[Place, int]:
        """The ends of the command topics' partitions. Raises KafkaException."""
        if self._admin is None:
            self._admin = AdminClient(admin_config(self._settings, error_cb=Troubles()))
        known = self._admin.list_topics(timeout=REQUEST_SECONDS_MAX).topics
        places = [
            (str(topic), number) for topic in COMMANDS_BY_TOPIC if topic in known for number in known[topic].partitions
        ]
        futures = self._admin.list_offsets(
            {TopicPartition(*place): OffsetSpec.latest() for place in places},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=REQUEST_SECONDS_MAX,
        )
        return {(place.topic, place.partition): int(future.result().offset) for place, future in futures.items()}

    def _lags(self, positions: dict[Place, _Position], ends: dict[Place, int]) -> list[Family]:
        records, seconds = _family(catalogue.LAG_RECORDS), _family(catalogue.LAG_SECONDS)
        for place, end in ends.items():
            position, labels = positions.get(place), (place[0], str(place[1]))
            lag_records = max(0, end - (0 if position is None else position.next_offset))
            records.add_metric(labels, lag_records)
            lag_seconds = self._lag_seconds(place, position, lag_records)
            if lag_seconds is not None:
                seconds.add_metric(labels, lag_seconds)
        return [records, seconds]

    def _lag_seconds(self, place: Place, position: _Position | None, lag_records: int) -> float | None:
        """See catalogue.LAG_SECONDS. None where nothing is known: never seen without lag, and nothing decided yet."""
        now_seconds = time.monotonic()
        if lag_records == 0:
            self._caught_up_seconds[place] = now_seconds
            return 0.0
        bounds: list[float] = []
        if place in self._caught_up_seconds:
            bounds.append(now_seconds - self._caught_up_seconds[place])
        if position is not None and position.record_time_seconds is not None:
            bounds.append(max(0.0, time.time() - position.record_time_seconds))
        return min(bounds, default=None)


def _family(metric: Metric) -> GaugeMetricFamily | CounterMetricFamily:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return kind(metric.name, metric.help, labels=metric.labels)


def _up(value: int) -> Family:
    return GaugeMetricFamily(catalogue.LEDGER_UP.name, catalogue.LEDGER_UP.help, value=value)


def _campaigns(connection: psycopg.Connection) -> list[Family]:
    quota, budget, is_open = _family(catalogue.QUOTA), _family(catalogue.BUDGET), _family(catalogue.OPEN)
    starts, ends = _family(catalogue.STARTS), _family(catalogue.ENDS)
    totals: dict[str, tuple[int, bool, float, float]] = {}
    rows = connection.execute(_CAMPAIGNS, _NAMED)
    for campaign, currency, vouchers, amount_minor, opened, starts_at, ends_at in rows:
        budget.add_metric((campaign, currency), amount_minor)
        before = totals.get(campaign, (0, False, starts_at, ends_at))
        totals[campaign] = (
            before[0] + vouchers, before[1] or opened, min(before[2], starts_at), max(before[3], ends_at),
        )  # fmt: skip
    for campaign, (vouchers, opened, starts_at, ends_at) in totals.items():
        quota.add_metric((campaign,), vouchers)
        is_open.add_metric((campaign,), float(opened))
        starts.add_metric((campaign,), starts_at)
        ends.add_metric((campaign,), ends_at)
    return [quota, budget, is_open, starts, ends]


def _balances(connection: psycopg.Connection) -> list[Family]:
    vouchers, money = _family(catalogue.VOUCHERS), _family(catalogue.MONEY)
    found = {(campaign, unit, role): balance for campaign, role, unit, balance in connection.execute(_BALANCES, _NAMED)}
    # A role that has no account yet is 0: a share of it must not be missing.
    for campaign, unit in sorted({(campaign, unit) for campaign, unit, _ in found}):
        for role in _ROLES:
            balance = found.get((campaign, unit, role), 0)
            if unit == "VOUCHER":
                vouchers.add_metric((campaign, role), balance)
            else:
                money.add_metric((campaign, unit, role), balance)
    return [vouchers, money]


def _outbox(connection: psycopg.Connection) -> list[Family]:
    batches, records = _family(catalogue.OUTBOX_BATCHES), _family(catalogue.OUTBOX_RECORDS)
    found = {topic: counts for topic, *counts in connection.execute(_OUTBOX)}
    for topic in COMMANDS_BY_TOPIC:
        waiting_batches, waiting_records = found.get(topic, (0, 0))
        batches.add_metric((topic,), waiting_batches)
        records.add_metric((topic,), waiting_records)
    return [batches, records]


def _positions(positions: dict[Place, _Position]) -> list[Family]:
    offsets, epochs = _family(catalogue.POSITION), _family(catalogue.EPOCH)
    for (topic, partition), position in positions.items():
        offsets.add_metric((topic, str(partition)), position.next_offset)
        epochs.add_metric((topic, str(partition)), position.epoch)
    decided, dead_lettered = _family(catalogue.DECIDED), _family(catalogue.DEAD_LETTERED)
    for name in COMMANDS_BY_TOPIC:
        own = [position for (topic, _), position in positions.items() if topic == name]
        decided.add_metric((name,), sum(position.decided for position in own))
        dead_lettered.add_metric((name,), sum(position.dead_lettered for position in own))
    return [offsets, epochs, decided, dead_lettered]

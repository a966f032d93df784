"""The Faust application: reads `ledger.demand`, keeps the buckets in a table with a changelog on Kafka."""

import asyncio
from typing import Any, cast

import faust
import structlog
from aiokafka import AIOKafkaConsumer
from confluent_kafka.admin import AdminClient
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.auth import CredentialsT
from yarl import URL

from voucher_ledger.core.demand import DEMAND_TOPIC
from voucher_ledger.monitor.demand import MalformedDemand, decode
from voucher_ledger.monitor.security import credentials
from voucher_ledger.monitor.store import Store, place_of
from voucher_ledger.runtime import topics
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, admin_config
from voucher_ledger.runtime.settings import Settings

APP_ID = "voucher-ledger-monitor"
REPLICAS_MAX = 3
FLUSH_SECONDS = 2.0
UNCOMMITTED_MAX = 20_000
MALFORMED_LOGGED_MAX = 20
# Compacted soon, so that a start reads little more than what is held.
_CHANGELOG_CONFIG = {"segment.bytes": 16_777_216, "segment.ms": 600_000, "min.cleanable.dirty.ratio": 0.1}

log = structlog.get_logger()


class _ReadCommittedThread(driver.AIOKafkaConsumerThread):
    """Faust reads committed records only where it writes in transactions itself. Rollups are published in them: those
    of an aborted one never were.
    """

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        assert hasattr(consumer, "_isolation_level"), "aiokafka keeps its isolation level elsewhere"
        # Faust has no setting that reaches it.
        consumer._isolation_level = "read_committed"
        return consumer


class _ReadCommittedConsumer(driver.Consumer):
    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _ReadCommittedThread(self, loop=self.loop, beacon=self.beacon)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Faust counts the record after a gap into it, and once more when it is acknowledged. A commit ends at what is
        there twice: at the next transaction of rollups, since each leaves a marker, that is a gap.
        """
        await super()._add_gap(tp, offset_from, offset_to - 1)


class _Transport(driver.Transport):
    Consumer = _ReadCommittedConsumer


class DemandApp:
    """The application, its table and what it counts. `ready` turns true once the table is recovered.

    Batches are counted in memory, and what changed goes to the table, and so to its changelog, once in FLUSH_SECONDS:
    a change for each batch would be gigabytes an hour. A batch is acknowledged after its buckets are on their way;
    Faust commits its offset after the changelog has them. So what a crash loses is delivered again, and what it did
    not lose is known by the buckets' marks.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises NotSetUp without `ledger.demand`, Unreachable, SettingsError (a security setting it cannot keep)."""
        login = credentials(settings)
        demand = topics.describe(settings, DEMAND_TOPIC)
        self.partitions_total = demand.partitions
        self.app = _app(settings, demand.partitions, login)
        self._table = self.app.Table(
            "buckets",
            partitions=demand.partitions,
            key_type=str,
            help="demand by campaign and span of record time",
            extra_topic_configs=_CHANGELOG_CONFIG,
        )
        self.store = Store()
        self.ready = False
        self._uncommitted: list[faust.EventT[bytes]] = []
        self._unwritten: set[str] = set()
        self._table.on_recover(self._recovered)
        self.app.on_partitions_revoked.connect(self._revoked, weak=False)
        topic = self.app.topic(
            DEMAND_TOPIC, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        self.app.agent(topic, name="count_demand")(self._count)

    def partitions(self) -> list[int]:
        """The partitions of `ledger.demand` that this process reads."""
        return sorted(place.partition for place in self.app.consumer.assignment() if place.topic == DEMAND_TOPIC)

    def lag_records(self) -> int | None:
        """Rollups that wait to be read; None while that is not known yet."""
        consumer: Any = self.app.consumer
        lag = 0
        for place in consumer.assignment():
            if place.topic != DEMAND_TOPIC:
                continue
            end = consumer.highwater(place)
            if end is None:
                return None
            read = consumer._read_offset[place]  # it has no other way to tell
            lag += max(0, end - (0 if read is None else read + 1))
        return lag

    async def flushes(self) -> None:
        """Flush each FLUSH_SECONDS, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.flush()

    def flush(self) -> None:
        """Hand what changed to the table's changelog, and acknowledge the batches that changed it; nothing while
        partitions are handed out anew.
        """
        if not self.ready:
            return
        counted, self._uncommitted = self._uncommitted, []
        for key, bucket in self.store.changes().items():
            partition, _ = place_of(key)
            # Beside the table's own assignment, which knows but the partition of the record at hand.
            if bucket is None:
                self._table.data.pop(key, None)
                self._table.send_changelog(partition, key, None, value_serializer="raw")
            else:
                self._table.data[key] = bucket
                self._table.send_changelog(partition, key, bucket)
        for event in counted:
            event.ack()

    async def _recovered(self) -> None:
        self._uncommitted.clear()
        # The table may still hold, as they were counted in place, buckets that a rebalance kept from being written.
        # Their batches come again, are known by the marks and acknowledged: so they must be written once they are ours.
        self._unwritten |= self.store.changes().keys()
        here = set(self.partitions())
        unwritten = {key for key in self._unwritten if place_of(key)[0] in here}
        self._unwritten -= unwritten
        self.store.load(self._table.data.items(), unwritten)
        self.ready = True
        log.info("demand recovered", campaigns=len(self.store.campaigns(self.partitions())))

    async def _revoked(self, *_arguments: object, **_options: object) -> None:
        # Nothing of these partitions is to be written any more, nor acknowledged: they may be another's already.
        self.ready = False

    async def _count(self, stream: faust.StreamT[Any]) -> None:
        async for event in cast("faust.Stream[bytes]", stream).noack().events():
            place = event.message
            try:
                self.store.count(place.partition, decode(event.value))
            except MalformedDemand as error:
                self.store.counted.malformed += 1
                if self.store.counted.malformed <= MALFORMED_LOGGED_MAX:
                    where = {"partition": place.partition, "offset": place.offset}
                    log.error("malformed demand passed over", cause=str(error), **where)
            self._uncommitted.append(event)
            if len(self._uncommitted) >= UNCOMMITTED_MAX:
                self.flush()


def _app(settings: Settings, partitions: int, login: CredentialsT | None) -> faust.App:
    brokers = len(AdminClient(admin_config(settings)).list_topics(timeout=REQUEST_SECONDS_MAX).brokers)
    session_seconds = settings.session_timeout_ms / 1_000
    servers = [URL(f"kafka://{server.strip()}") for server in settings.kafka.split(",")]
    app = faust.App(
        APP_ID,
        broker=servers,
        broker_credentials=login,
        broker_session_timeout=session_seconds,
        broker_heartbeat_interval=session_seconds / 6,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
        autodiscover=False,
        web_enabled=False,
        store="memory://",
        topic_partitions=partitions,
        topic_replication_factor=min(REPLICAS_MAX, brokers),
        topic_disable_leader=True,
        stream_wait_empty=False,
        producer_compression_type="lz4",
        processing_guarantee="at_least_once",
    )
    app.transport = _Transport(servers, app)
    return app

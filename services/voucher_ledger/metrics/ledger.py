"""The metrics of the ledger itself: campaigns, balances, positions, lag, outbox. Read by one process of all.

Every sweeper's process has such a collector, and whichever holds the lock serves its metrics; the others serve none of
them. So sums in dashboards count nothing twice, and a successor goes on where one dies.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress

import psycopg
import structlog
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC
from voucher_ledger.core.records import Place
from voucher_ledger.metrics import catalogue
from voucher_ledger.metrics import ledger_books as books
from voucher_ledger.metrics.ledger_books import Position
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.errors import NotSetUp, Unreachable
from voucher_ledger.runtime.kafka import admin_config
from voucher_ledger.runtime.kept_connection import KeptConnection
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.tails import Tails
from voucher_ledger.runtime.timers import unless_ended_within
from voucher_ledger.runtime.troubles import Troubles

# A look serves every scrape of so long: who scrapes often, or twice, costs the database no more.
LOOK_SECONDS = 5.0
# Of each of two calls: a scrape must have its answer in time, with the balances in it, also while Kafka is away.
ENDS_SECONDS_MAX = 1.5
TAILS_SECONDS_MAX = 0.5
# Of connecting, of a statement, and of all statements of a look: while Postgres hangs a scrape must be told so in time.
POSTGRES_SECONDS_MAX = 2
LOCK_NAME = "voucher-ledger-ledger-metrics"
_ROLE = "voucher_ledger_writer"

log = structlog.get_logger()


class LedgerCollector(Collector):
    """Looks at most every LOOK_SECONDS, when somebody scrapes. A look that fails is told by `ledger_read_up`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._connection = KeptConnection(
            settings.postgres, application="metrics", role=_ROLE, seconds_max=POSTGRES_SECONDS_MAX
        )
        self._admin: AdminClient | None = None
        self._families: list[Family] = []
        self._looked_seconds = float("-inf")
        self._caught_up_seconds: dict[Place, float] = {}
        self._tails: Tails | None = None
        self._behind: dict[Place, tuple[int, int]] = {}
        self._done: dict[Place, tuple[int, int]] = {}
        self._at_work: set[Place] = set()
        self._is_reader = False
        self._failing = False

    def describe(self) -> Iterator[Family]:
        """What it may tell; no database is looked at for that."""
        yield from (books.family(metric) for metric in catalogue.LEDGER)

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
            if self._tails is not None:
                self._tails.close()
                self._tails = None

    def _look(self) -> list[Family]:
        try:
            connection = self._connection.get()
            with _cut_off(connection):
                self._is_reader = self._is_reader or postgres.try_lock(connection, LOCK_NAME)
                if not self._is_reader:
                    return []
                named = books.name_campaigns(connection)
                families = [
                    books.unnamed(named),
                    *books.campaigns(connection, named),
                    *books.balances(connection, named),
                    *books.waiting(connection, named),
                    *books.outbox(connection),
                ]
                # Positions are read before the ends, so that a lag may look a moment too large, never below 0.
                positions = books.read_positions(connection)
                families += books.places(positions)
        except (psycopg.Error, Unreachable, NotSetUp) as error:
            self._failed(error)
            self._disconnect()
            return [books.read_up(0)]
        try:
            families += self._lags(positions, self._ends())
        except KafkaException as error:
            # Just then what Postgres said is needed: only the lag is missing.
            self._failed(error)
            return [books.read_up(0), *families]
        self._failing = False
        return [books.read_up(1), *families]

    def _failed(self, error: Exception) -> None:
        if not self._failing:
            log.warning("the ledger's metrics can't be read", cause=str(error).strip())
        self._failing = True

    def _disconnect(self) -> None:
        """The lock goes with the connection."""
        self._is_reader = False
        self._connection.drop()

    def _ends(self) -> dict[Place, int]:
        """The ends of the command topics' partitions. Raises KafkaException."""
        if self._admin is None:
            self._admin = AdminClient(admin_config(self._settings, error_cb=Troubles()))
        known = self._admin.list_topics(timeout=ENDS_SECONDS_MAX).topics
        places = [
            (str(topic), number) for topic in COMMANDS_BY_TOPIC if topic in known for number in known[topic].partitions
        ]
        futures = self._admin.list_offsets(
            {TopicPartition(*place): OffsetSpec.latest() for place in places},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=ENDS_SECONDS_MAX,
        )
        return {(place.topic, place.partition): int(future.result().offset) for place, future in futures.items()}

    def _lags(self, positions: dict[Place, Position], ends: dict[Place, int]) -> list[Family]:
        records, seconds = books.family(catalogue.LAG_RECORDS), books.family(catalogue.LAG_SECONDS)
        spans = {place: (positions[place].next_offset if place in positions else 0, end) for place, end in ends.items()}
        first_records_ms = self._look_behind(spans)
        for place, (next_offset, end) in spans.items():
            position, labels = positions.get(place), (place[0], str(place[1]))
            lag_records = 0 if self._done.get(place) == spans[place] else max(0, end - next_offset)
            records.add_metric(labels, lag_records)
            lag_seconds = self._lag_seconds(place, position, lag_records, first_records_ms.get(place))
            if lag_seconds is not None:
                seconds.add_metric(labels, lag_seconds)
        return [records, seconds]

    def _look_behind(self, spans: dict[Place, tuple[int, int]]) -> dict[Place, int | None]:
        """Find out where nothing but markers and aborted records is left, and where a record was seen to wait, whose
        time in ms is returned: of places (first undecided offset, end) that have not moved since the last look. Those
        that move have work, and to read of each of them at every look would cost most when there is most of it.
        """
        behind = {place: span for place, span in spans.items() if span[0] < span[1]}
        self._done = {place: span for place, span in self._done.items() if behind.get(place) == span}
        still = {place: span for place, span in behind.items() if self._behind.get(place) == span}
        asked = {place: span[0] for place, span in still.items() if place not in self._done}
        moved = self._behind.keys() - still.keys()
        self._at_work = behind.keys() & (self._at_work | moved)
        self._behind = behind
        if not asked:
            return {}
        first_records_ms = self._first_records_ms(asked, {place: span[1] for place, span in still.items()})
        self._done |= {place: still[place] for place, first_ms in first_records_ms.items() if first_ms is None}
        self._at_work |= {place for place, first_ms in first_records_ms.items() if first_ms is not None}
        return first_records_ms

    def _first_records_ms(self, undecided: dict[Place, int], ends: dict[Place, int]) -> dict[Place, int | None]:
        if self._tails is None:
            self._tails = Tails(self._settings)
        return self._tails.first_records_ms(undecided, ends, TAILS_SECONDS_MAX)

    def _lag_seconds(
        self, place: Place, position: Position | None, lag_records: int, first_ms: int | None
    ) -> float | None:
        """See catalogue.LAG_SECONDS. None where nothing is known: never seen without lag, and nothing decided yet or
        nothing seen to wait (what lies there may be a marker, and the last record of yesterday).
        """
        now_seconds = time.monotonic()
        if lag_records == 0:
            self._caught_up_seconds[place] = now_seconds
            return 0.0
        bounds: list[float] = []
        if place in self._caught_up_seconds:
            bounds.append(now_seconds - self._caught_up_seconds[place])
        if first_ms is not None:
            bounds.append(max(0.0, time.time() - first_ms / 1_000))
        # What waits came after what was decided last. Beside another bound that can only bring the value down to the
        # truth: a record in passing would else look as old as the last look, and after a gap as old as the gap.
        known = bool(bounds) or place in self._at_work
        if known and position is not None and position.record_time_seconds is not None:
            bounds.append(max(0.0, time.time() - position.record_time_seconds))
        return min(bounds, default=None)


def _cut_off(connection: psycopg.Connection) -> AbstractContextManager[None]:
    """End the connection after POSTGRES_SECONDS_MAX: a server that hangs does not heed its own statement_timeout."""

    def cut() -> None:
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)

    return unless_ended_within(POSTGRES_SECONDS_MAX, cut)

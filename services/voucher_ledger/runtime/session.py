"""One session of a processor: a group membership, a connection, and for each assignment a publisher.

Whatever is lost (a connection, a producer, a partition) ends the session; the next one recovers on its assignment. So
there is one way to recover, and it is used every day.
"""

import math
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from voucher_ledger.core.demand import DEMAND_TOPIC
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.metrics.observer import Observer
from voucher_ledger.runtime import postgres, topics
from voucher_ledger.runtime.arrivals import Arrivals
from voucher_ledger.runtime.decider import Decider
from voucher_ledger.runtime.errors import Inconsistent, SessionLost, lost
from voucher_ledger.runtime.hangs import must_end_within
from voucher_ledger.runtime.incoming import Record
from voucher_ledger.runtime.kafka import consumer_config, group_of
from voucher_ledger.runtime.leave import leave_group
from voucher_ledger.runtime.outbox import Outbox
from voucher_ledger.runtime.positions import Positions, connect
from voucher_ledger.runtime.publisher import DEAD_LETTER_TOPIC, Publisher
from voucher_ledger.runtime.recovery import Recovery
from voucher_ledger.runtime.room import Room
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.troubles import Troubles
from voucher_ledger.runtime.windows import Windows

DRAIN_SECONDS_MAX = 20.0
CLOSE_SECONDS_MAX = 30.0  # beyond the session timeout, for which librdkafka may wait
# A batch costs Postgres and Kafka much the same whatever is in it. At 5,000 claims a second and two processes on two
# cores, this wait for company brought the median latency from 80 to 47 ms, the 99th percentile from 200 to 100.
GATHER_SECONDS = 0.02
# Where nothing has come for so long after an assignment, what ends the session is no record.
IDLE_SECONDS_MIN = 60.0

log = structlog.get_logger()


class Session:
    """Consumes, decides and publishes until it is stopped or something is lost."""

    def __init__(
        self, settings: Settings, room: Room[Any], instance: str, decoder: CommandDecoder, windows: Windows,
        observer: Observer,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._room = room
        self._instance = instance
        self._windows = windows
        self._observer = observer
        self.topic = topic = topics.describe(settings, room.command_topic)
        self._dead_partitions = topics.describe(settings, DEAD_LETTER_TOPIC).partitions
        topics.describe(settings, DEMAND_TOPIC)
        events = topics.describe(settings, room.event_topic)
        if events.partitions < topic.partitions:
            raise Inconsistent(
                f"{room.event_topic} has {events.partitions} partitions, {room.command_topic} has {topic.partitions}: "
                "an answer lies in the partition of its cause, so add those that are missing"
            )
        # Before the group is joined, which fences whoever has this name there.
        self._connection = connect(settings.postgres, application=instance)
        self._arrivals = Arrivals(settings, room.command_topic, decoder)
        self._outbox = Outbox(room.command_topic, room.key_field)
        positions = Positions(room.command_topic, topic.topic_id, instance)
        self._decider = Decider(
            room, self._connection, positions, self._outbox, settings.decide_attempts_max, windows, observer
        )  # fmt: skip
        self._consumer = Consumer(
            consumer_config(settings, group_of(room.name), instance, error_cb=self._on_client_error)
        )
        self._recovery = Recovery(
            settings, self._consumer, self._connection, positions, self._outbox,
            group_of(room.name), room.command_topic, room.event_topic, self._dead_partitions,
        )  # fmt: skip
        self._publisher: Publisher | None = None
        self._pruned: dict[int, int] = {}
        self._fatal: Exception | None = None
        self._much_is_waiting = False
        self._troubles = Troubles(instance)
        self._assigned_seconds = math.inf
        self.sound = False  # it has decided, or could have for long: what ends it now is not what ended those before it

    def run(self, stopping: threading.Event, turned: Callable[[], None]) -> None:
        """Work until `stopping` is set; then what was decided is published, and the outbox pruned. Calls `turned` with
        each turn of the loop.

        Raises SessionLost (start another session), Fenced, Inconsistent, and psycopg.ProgrammingError where the
        database lacks a table, a column or a right: no session after this one would find it.
        """
        try:
            self._work(stopping, turned)
        except postgres.BROKEN as error:
            raise SessionLost(f"Postgres: {str(error).strip() or type(error).__name__}") from error
        except KafkaException as error:
            raise lost(error.args[0]) from error

    def _work(self, stopping: threading.Event, turned: Callable[[], None]) -> None:
        topic = [self._room.command_topic]
        self._consumer.subscribe(topic, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost)
        while not stopping.is_set():
            records = self._consume(stopping)
            self._observer.turned()
            turned()
            if self._fatal is not None:
                raise self._fatal
            if not records and time.monotonic() - self._assigned_seconds > IDLE_SECONDS_MIN:
                self.sound = True
            if self._publisher is None:
                continue
            self._publisher.check()
            if records:
                self._decide(records)
            else:
                self._prune()
        self._finish()
        self._stop_publisher()
        self._close_consumer()
        leave_group(self._settings, group_of(self._room.name), self._instance)

    def close(self) -> None:
        """Leave everything behind, in whatever state it is; never raises."""
        for step in (self._stop_publisher, self._close_consumer, self._connection.close):
            try:
                step()
            except Exception as error:  # noqa: BLE001 (what is left behind may be broken in any way)
                log.info("closing", instance=self._instance, cause=str(error))

    def _close_consumer(self) -> None:
        seconds_max = self._settings.session_timeout_ms / 1000 + CLOSE_SECONDS_MAX
        with must_end_within(seconds_max, f"the consumer of {self._instance}"):
            self._consumer.close()

    def _consume(self, stopping: threading.Event) -> list[Record]:
        """What is there, at most a batch: waits for the first record, and for its company unless much is waiting."""
        records_max = self._settings.batch_records_max
        records = self._consumer.consume(1, self._settings.poll_seconds)
        if records and records_max > 1:
            if not self._much_is_waiting:
                stopping.wait(GATHER_SECONDS)
            records += self._consumer.consume(records_max - 1, 0)
        self._much_is_waiting = len(records) > records_max // 2
        return cast("list[Record]", records)

    def _decide(self, records: list[Record]) -> None:
        """Decide the records that are this session's."""
        publisher = self._publisher
        if publisher is None:
            return
        items, stuck = self._arrivals.items(records, self._decider.positions)
        if items:
            unpruned = self._unpruned()
            shares = self._decider.decide(items, unpruned)
            self._pruned.update(unpruned)
            publisher.submit(shares)
            self.sound = True
        for partition, offset in stuck.items():
            self._consumer.seek(TopicPartition(self._room.command_topic, partition, offset))

    def _unpruned(self) -> dict[int, int]:
        """Offsets published but still in the outbox, by partition."""
        published = {} if self._publisher is None else dict(self._publisher.published)
        return {p: offset for p, offset in published.items() if self._pruned.get(p) != offset}

    def _prune(self) -> None:
        unpruned = self._unpruned()
        if unpruned:
            self._outbox.prune(self._connection, unpruned)
            self._pruned.update(unpruned)

    def _finish(self) -> None:
        if self._publisher is None:
            return
        if self._publisher.drain(DRAIN_SECONDS_MAX):
            self._prune()
        else:
            log.warning("not all is published: it is in the outbox, and whoever takes over publishes it")

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Recover the partitions, in this order: end the predecessor's transaction, fence, read, publish again."""
        self._stop_publisher()
        self._pruned.clear()
        self._decider.positions = {}
        if not partitions:
            consumer.assign([])
            self._assigned_seconds = time.monotonic()
            self._observer.ready("standing by: the room has more processes than partitions")
            return
        numbers = sorted(partition.partition for partition in partitions)
        room = self._room
        publisher = Publisher(
            self._settings, self._instance, room.command_topic, room.event_topic, self._dead_partitions, self._windows,
            self._observer,
        )  # fmt: skip
        # Captured here and nowhere else: read later, a rejoined zombie would be handed a fresh generation.
        publisher.start(consumer.consumer_group_metadata())
        self._publisher = publisher
        held, unpublished = self._recovery.take_over(numbers)
        self._observer.recovered(len(numbers), len(unpublished))
        for share in unpublished:
            publisher.submit([share])
        self._decider.positions = held
        consumer.assign([TopicPartition(room.command_topic, number, held[number].next_offset) for number in numbers])
        self._assigned_seconds = time.monotonic()
        self._observer.ready(f"{room.command_topic} {numbers}")
        log.info("assigned", instance=self._instance, topic=room.command_topic, partitions=numbers)

    def _on_revoke(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._finish()
        self._give_up(consumer, "revoked")

    def _on_lost(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._give_up(consumer, "lost")

    def _give_up(self, consumer: Consumer, how: str) -> None:
        self._stop_publisher()
        self._decider.positions = {}
        self._assigned_seconds = math.inf
        consumer.unassign()
        self._observer.not_ready(f"no partitions: {how}")
        log.info(how, instance=self._instance, topic=self._room.command_topic)

    def _stop_publisher(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.stop()

    def _on_client_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = lost(error)
        self._troubles(error)

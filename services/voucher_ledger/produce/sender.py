"""Sends records to Kafka and knows of each what became of it."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from voucher_ledger.produce.clients import known_topics, open_client
from voucher_ledger.produce.records import TimedCommand
from voucher_ledger.runtime.kafka import producer_config
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.troubles import Troubles

# Long enough for a broker's restart; after it a record counts as not delivered.
DELIVERY_SECONDS_MAX = 60
FAILURES_SHOWN_MAX = 20


class Undelivered(Exception):
    """The producer cannot go on; the text says why."""


class Sender:
    """An idempotent producer with a bounded queue, whose delivery reports are all awaited.

    `accepted` records were taken into the queue; those of them that were not delivered are counted in `failed`, and the
    first FAILURES_SHOWN_MAX reasons are kept in `failures`. As a context manager it waits for what is under way.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        record_times: bool = False,
        on_delivered: Callable[[str, int, int], None] | None = None,
    ) -> None:
        """Connect lazily; `record_times` sends each record with its `time_ms` as its timestamp, and `on_delivered` is
        told the place (topic, partition, offset) of each that was delivered.
        """
        self.accepted = 0
        self.failed = 0
        self.failures: list[str] = []
        self._kafka = settings.kafka
        self._record_times = record_times
        self._on_delivered = on_delivered
        self._troubles = Troubles()
        # Success is what is neither failed nor under way: Python is called for failures only, unless somebody asks.
        self._producer = open_client(
            Producer,
            producer_config(
                settings,
                delivery_timeout_ms=DELIVERY_SECONDS_MAX * 1_000,
                delivery_report_only_error=on_delivered is None,
                error_cb=self._troubles,
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    @property
    def delivered(self) -> int:
        """How many records the brokers have acknowledged so far."""
        return self.accepted - self.failed - len(self._producer)

    def require_topics(self, topics: Collection[str]) -> None:
        """Return when Kafka answers and has every one of `topics`.

        Raises:
            Unreachable: no broker answers.
            NotSetUp: one of them does not exist.
        """
        known_topics(self._producer, self._kafka, topics, self._troubles)

    def send(self, commands: Sequence[TimedCommand]) -> None:
        """Take records into the queue, waiting while it is full; records of one topic keep their order.

        Raises:
            Undelivered: the queue does not empty, or the producer has failed for good.
        """
        if self._record_times:
            for command in commands:
                self._enqueue_timed(command)
        else:
            by_topic: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
            for command in commands:
                by_topic[command.topic].append({"key": command.key, "value": command.value})
            for topic, messages in by_topic.items():
                self._enqueue(topic, messages)
        self._producer.poll(0)

    def wait(self, seconds: float) -> None:
        """Serve delivery reports for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._producer.poll(left)

    def finish(self) -> None:
        """Wait until every record is delivered or has failed; what is then still under way counts as failed."""
        left = self._producer.flush(DELIVERY_SECONDS_MAX + 10)
        if left:
            self._producer.purge()
            self._producer.flush(1)
            unreported = len(self._producer)
            self._fail(f"{unreported} records without a delivery report", unreported)

    def _enqueue(self, topic: str, messages: list[dict[str, Any]]) -> None:
        deadline = self._deadline()
        while messages:
            try:
                taken = self._producer.produce_batch(topic, messages, on_delivery=self._report)
            except KafkaException as error:
                raise Undelivered(f"cannot send to {topic}: {error.args[0].str()}") from error
            self.accepted += taken
            if taken == len(messages):
                return
            full: list[dict[str, Any]] = []
            for message in messages:
                refusal: KafkaError | None = message.pop("_error", None)
                if refusal is None:
                    continue
                if refusal.code() == KafkaError._QUEUE_FULL:
                    full.append(message)
                else:
                    self.accepted += 1
                    self._fail(f"{topic}: key {message['key']!r}: {refusal.str()}")
            deadline = self._deadline() if len(full) < len(messages) else deadline
            messages = full
            self._wait_for_room(deadline)

    def _enqueue_timed(self, command: TimedCommand) -> None:
        deadline = self._deadline()
        while True:
            try:
                self._producer.produce(
                    command.topic,
                    key=command.key,
                    value=command.value,
                    timestamp=command.time_ms,
                    on_delivery=self._report,
                )
            except BufferError:
                self._wait_for_room(deadline)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise Undelivered(f"cannot send to {command.topic}: {error.args[0].str()}") from error
                self.accepted += 1
                self._fail(f"{command.topic}: key {command.key!r}: {error.args[0].str()}")
                return
            else:
                self.accepted += 1
                return

    @staticmethod
    def _deadline() -> float:
        # Records fail after DELIVERY_SECONDS_MAX and leave the queue: past that, waiting has no end in sight.
        return time.monotonic() + DELIVERY_SECONDS_MAX + 10

    def _wait_for_room(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise Undelivered(
                f"Kafka at {self._kafka} has taken nothing for {DELIVERY_SECONDS_MAX} s: the queue is full"
            )
        self._producer.poll(0.05)

    def _report(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._fail(f"{message.topic()}: key {message.key()!r}: {error.str()}")
        elif self._on_delivered is not None:
            self._on_delivered(str(message.topic()), int(message.partition() or 0), int(message.offset() or 0))

    def _fail(self, failure: str, count: int = 1) -> None:
        self.failed += count
        if len(self.failures) < FAILURES_SHOWN_MAX:
            self.failures.append(failure)

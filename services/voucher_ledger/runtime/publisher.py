"""The publish step: decided batches go out in Kafka transactions, together with the offsets that they answer.

One thread and one transactional producer for one assignment of partitions. Any error ends both: a producer that saw
one is never used again, since librdkafka retries EndTxn silently and a stale one could end the next transaction.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from voucher_ledger.core.demand import DEMAND_TOPIC
from voucher_ledger.metrics.observer import Observer
from voucher_ledger.runtime.errors import Fenced, SessionLost, is_fenced
from voucher_ledger.runtime.hangs import must_end_within
from voucher_ledger.runtime.kafka import transactional_config
from voucher_ledger.runtime.outbox import Share
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.windows import Windows

DEAD_LETTER_TOPIC = "ledger.dead-letters"
INIT_SECONDS_MAX = 30.0
RECORDS_A_TRANSACTION_MAX = 20_000
_QUEUE_FULL_WAIT_SECONDS = 0.05
# Beyond what the calls of one transaction are given by their own timeouts, which librdkafka does not always keep.
STOP_MARGIN_SECONDS = 10.0
PUBLISH_SECONDS_MAX = 60.0

log = structlog.get_logger()

Batch = Sequence[Share]


class Publisher:
    """Publishes batches in the order of `submit`; `published` holds the offsets that are out, by partition."""

    def __init__(
        self,
        settings: Settings,
        instance: str,
        command_topic: str,
        event_topic: str,
        dead_partitions: int,
        windows: Windows,
        observer: Observer,
    ) -> None:
        """Make the producer and abort what a predecessor of this name left open.

        Raises SessionLost where Kafka does not answer, Fenced where another process has this name.
        """
        self._instance = instance
        self._command_topic = command_topic
        self._event_topic = event_topic
        self._dead_partitions = dead_partitions
        self._windows = windows
        self._observer = observer
        self._request_seconds = settings.transaction_timeout_ms / 1000
        self._errors: list[KafkaError] = []
        self._producer = Producer(transactional_config(settings, instance, self._errors.append))
        self._queue: queue.Queue[Batch] = queue.Queue(settings.publish_batches_max)
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._transaction_began_seconds: float | None = None
        self._metadata: object = None
        self._thread = threading.Thread(target=self._run, name=f"publish-{instance}", daemon=True)
        self.published: dict[int, int] = {}
        try:
            self._producer.init_transactions(INIT_SECONDS_MAX)
        except KafkaException as error:
            raise _explained(error) from error
        observer.producer_made()

    def start(self, metadata: object) -> None:
        """Begin to publish, as the group member that `metadata` (captured in on_assign) names."""
        self._metadata = metadata
        self._thread.start()

    def submit(self, batch: Batch, wait_seconds_max: float = PUBLISH_SECONDS_MAX) -> None:
        """Queue a decided batch; waits where as many are queued as may be.

        Raises SessionLost or Fenced once publishing has failed.
        """
        deadline = time.monotonic() + wait_seconds_max
        self._observer.submitted()  # before it is: the other thread may have published it a moment later
        while True:
            self.check()
            try:
                self._queue.put(batch, timeout=0.1)
                return
            except queue.Full:
                if time.monotonic() > deadline:
                    raise SessionLost(f"nothing was published for {wait_seconds_max:.0f} s") from None

    def check(self) -> None:
        """Raise the failure that ended publishing, if one did; SessionLost where a transaction hangs."""
        if self._failure is not None:
            raise self._failure
        began, seconds_max = self._transaction_began_seconds, max(PUBLISH_SECONDS_MAX, 3 * self._request_seconds)
        if began is not None and time.monotonic() - began > seconds_max:
            raise SessionLost(f"a transaction has not ended for {seconds_max:.0f} s")

    def drain(self, seconds_max: float) -> bool:
        """Wait until everything submitted is published; False where it is not within `seconds_max` or failed."""
        deadline = time.monotonic() + seconds_max
        with self._queue.all_tasks_done:
            while self._queue.unfinished_tasks and self._failure is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._queue.all_tasks_done.wait(min(left, 0.1))
        return self._failure is None

    def stop(self) -> None:
        """Stop the thread and drop what is queued (the outbox has it); the producer is not used again.

        Where that hangs the process ends: going on beside a thread that may still publish would break rule 1.
        """
        self._stopping.set()
        seconds_max = 2 * self._request_seconds + STOP_MARGIN_SECONDS
        with must_end_within(seconds_max, f"the publisher of {self._instance}"):
            if self._thread.is_alive():
                self._thread.join()
            self._producer.purge(blocking=False)
            del self._producer  # its destructor waits for librdkafka's threads
        self._observer.publisher_stopped()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    first = self._queue.get(timeout=0.05)
                except queue.Empty:
                    self._producer.poll(0)
                    continue
                batches = [first]
                records = _records_in(first)
                while records < RECORDS_A_TRANSACTION_MAX and not self._queue.empty():
                    batches.append(self._queue.get_nowait())
                    records += _records_in(batches[-1])
                shares, began_seconds = [share for batch in batches for share in batch], time.perf_counter()
                self._transaction_began_seconds = time.monotonic()
                self._publish(shares)
                self._transaction_began_seconds = None
                self._observer.published(len(batches), shares, time.perf_counter() - began_seconds)
                for _ in batches:
                    self._queue.task_done()
        except Exception as error:  # noqa: BLE001 (handed to the thread that decides, which raises it)
            failure = _explained(error) if isinstance(error, KafkaException) else error
            # Their frames hold the producer, which is to end in `stop`, not when somebody looks for garbage.
            failure.__traceback__ = failure.__context__ = None
            self._failure = failure
            log.warning("publishing ended", cause=str(self._failure))

    def _publish(self, shares: Sequence[Share]) -> None:
        self._producer.poll(0)  # what it has to tell of the transaction before
        if self._errors:
            raise SessionLost(f"the producer saw an error: {self._errors[0].str()}")
        producer = self._producer
        producer.begin_transaction()
        offsets: dict[int, int] = {}
        for share in shares:
            self._produce(share)
            offsets[share.partition] = share.next_offset
        producer.send_offsets_to_transaction(
            [TopicPartition(self._command_topic, partition, offset) for partition, offset in offsets.items()],
            self._metadata,
            self._request_seconds,
        )
        self._windows.in_transaction()
        producer.commit_transaction(self._request_seconds)
        self._windows.after_publish()
        self.published.update(offsets)

    def _produce(self, share: Share) -> None:
        produce, topic, partition = self._producer.produce, self._event_topic, share.partition
        for event, key in zip(share.events, share.keys, strict=True):
            try:
                produce(topic, event, key, partition)
            except BufferError:
                self._when_not_full(lambda event=event, key=key: produce(topic, event, key, partition))  # type: ignore[misc]
        for rollup in share.rollups:
            campaign_key, value = rollup.record()
            self._when_not_full(lambda key=campaign_key, value=value: produce(DEMAND_TOPIC, value, key))  # type: ignore[misc]
        for letter in share.dead_letters:
            self._when_not_full(
                lambda letter=letter: self._producer.produce(  # type: ignore[misc]
                    DEAD_LETTER_TOPIC,
                    letter.value,
                    letter.key,
                    letter.partition % self._dead_partitions,
                    headers=letter.headers_for(self._command_topic),
                )
            )

    def _when_not_full(self, produce: Callable[[], None]) -> None:
        deadline = time.monotonic() + self._request_seconds
        while True:
            try:
                return produce()
            except BufferError:
                if self._stopping.is_set() or time.monotonic() > deadline:
                    raise SessionLost(f"Kafka took no records for {self._request_seconds:.0f} s") from None
                self._producer.poll(_QUEUE_FULL_WAIT_SECONDS)


def _records_in(batch: Batch) -> int:
    return sum(len(share.events) + len(share.dead_letters) for share in batch)


def _explained(error: KafkaException) -> Exception:
    """Fenced where another process has the instance's name (or the coordinator gave the transaction up), else
    SessionLost.
    """
    cause = error.args[0]
    if is_fenced(cause):
        return Fenced(f"the producer was fenced: {cause.str()}")
    return SessionLost(f"Kafka: {cause.str()}")

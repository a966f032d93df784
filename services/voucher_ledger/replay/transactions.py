"""A transactional producer for tools that write: a stable name, and nothing of it is used after an error.

Whoever opens it under a name aborts what a killed predecessor of that name left open, waits until that is settled, and
fences one that still lives. So what is read after opening holds all that was ever committed under the name.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from voucher_ledger.produce.clients import open_client
from voucher_ledger.replay.windows import NO_WINDOWS, ToolWindows
from voucher_ledger.run.interrupts import kept
from voucher_ledger.runtime.errors import Fenced, SessionLost, Unreachable, is_fenced
from voucher_ledger.runtime.kafka import transactional_config
from voucher_ledger.runtime.outbox import Header
from voucher_ledger.runtime.settings import Settings

INIT_SECONDS_MAX = 30.0
ABORT_SECONDS_MAX = 5.0
_QUEUE_FULL_WAIT_SECONDS = 0.05

Delivered = Callable[[int, int], None]


class Transactions:
    """Sends records in transactions that are committed one after the other; any error ends it for good.

    Raises (each method) SessionLost: run the tool again, it goes on where it stopped; Fenced where another run of the
    tool took the name.
    """

    def __init__(self, settings: Settings, name: str, windows: ToolWindows = NO_WINDOWS) -> None:
        """Take the name: the transactional id is `voucher-ledger-<name>`. Raises Unreachable, Fenced, SettingsError."""
        self._seconds_max = settings.transaction_timeout_ms / 1000
        self._windows = windows
        self._failures: list[str] = []
        self._is_open = False
        configuration = transactional_config(settings, name, self._on_error)
        self._producer = open_client(Producer, {**configuration, "delivery.report.only.error": False})
        try:
            self._producer.init_transactions(INIT_SECONDS_MAX)
        except KafkaException as error:
            if is_fenced(error.args[0]):
                raise self._lost(error) from error
            raise Unreachable(f"Kafka at {settings.kafka}: {error.args[0].str()}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_open and not isinstance(error, SessionLost):
            self._abort()
        self._producer.purge()

    def _abort(self) -> None:
        """What is open holds up who reads these partitions with read_committed, processors among them, until the broker
        aborts it after the timeout: an operator's Ctrl-C must not stop them so long.
        """
        # Where that fails the next run under this name does it, or the broker; why this one ends is told already.
        with suppress(KafkaException):
            self._producer.abort_transaction(ABORT_SECONDS_MAX)

    def begin(self) -> None:
        """Open a transaction."""
        self._is_open = True  # before it is: an interrupt may come in between
        self._call(self._producer.begin_transaction)
        self._windows.begun()

    def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        *,
        partition: int = -1,
        headers: Sequence[Header] = (),
        time_ms: int = 0,
        delivered: Delivered | None = None,
    ) -> None:
        """Add a record; `delivered` is called with its partition and offset, at the latest by `flush`."""

        def report(error: KafkaError | None, record: Message) -> None:
            if error is not None:
                self._failures.append(f"{topic}: key {key!r}: {error.str()}")
            elif delivered is not None:
                delivered(int(record.partition() or 0), int(record.offset() or 0))

        deadline = time.monotonic() + self._seconds_max
        while True:
            try:
                with kept():
                    self._producer.produce(
                        topic, value, key, partition, on_delivery=report, timestamp=time_ms, headers=list(headers)
                    )
                return
            except BufferError:
                if time.monotonic() > deadline:
                    raise SessionLost(f"Kafka took no records for {self._seconds_max:.0f} s") from None
                self._producer.poll(_QUEUE_FULL_WAIT_SECONDS)
            except KafkaException as error:
                raise self._lost(error) from error

    def flush(self) -> None:
        """Wait until all that was added is acknowledged."""
        left = self._producer.flush(self._seconds_max)
        if left or self._failures:
            raise SessionLost(self._failures[0] if self._failures else f"{left} records were not acknowledged in time")

    def commit(self) -> None:
        """End the transaction: all that was added becomes visible at once."""
        self.flush()
        self._windows.before_commit()
        self._call(lambda: self._producer.commit_transaction(self._seconds_max))
        self._is_open = False
        self._windows.committed()

    def sent(self) -> None:
        """Wait for what was added so far, where something is to be told of it in the same transaction."""
        self.flush()
        self._windows.sent()

    def _call(self, action: Callable[[], None]) -> None:
        self._producer.poll(0)  # what it has to tell of what went before
        if self._failures:
            raise SessionLost(f"the producer saw an error: {self._failures[0]}")
        try:
            action()
        except KafkaException as error:
            raise self._lost(error) from error

    def _on_error(self, error: KafkaError) -> None:
        self._failures.append(error.str())

    @staticmethod
    def _lost(error: KafkaException) -> SessionLost:
        cause = error.args[0]
        if is_fenced(cause):
            return Fenced(f"another run of this tool has taken over, or Kafka gave this one up: {cause.str()}")
        return SessionLost(f"Kafka: {cause.str()}; run the same command again, it goes on where this one stopped")

"""One builder for the configuration of every Kafka client."""

import logging
import re
from collections.abc import Callable
from typing import Any

import structlog
from confluent_kafka import KafkaError

from voucher_ledger.runtime.settings import Settings

REQUEST_SECONDS_MAX = 10.0
# When the client must have answered for a request, if by its failure.
ANSWER_SECONDS_MAX = REQUEST_SECONDS_MAX + 5.0
MESSAGE_BYTES_MAX = 2_097_152
# What a batch may hold, decompressed. Of zstd's unknown sizes librdkafka guesses, and triples its guess while that is
# below this: so a third of it can be read for certain, more than a dead letter takes and any client makes unasked. Some
# kilobytes may be gigabytes of zeros, which would be memory: such a batch is not read (see runtime/unreadable.py). Of
# gzip and lz4 it asks for no bound.
READ_BYTES_MAX = 64_000_000
_RESPONSE_FRAME_BYTES = 512
# The most that librdkafka knows. A broker bounds what a batch takes compressed, librdkafka what a record takes before
# that: what came through the one must not be stopped by the other on its way to the dead letters.
DEAD_LETTER_BYTES_MAX = 1_000_000_000

# What the guarantees rest on, or a setting of this program's own says: KAFKA_* does not change it.
FIXED_PROPERTIES = frozenset(
    [
        "acks", "auto.offset.reset", "bootstrap.servers", "delivery.timeout.ms", "enable.auto.commit",
        "enable.auto.offset.store", "enable.idempotence", "enable.partition.eof", "group.id", "group.instance.id",
        "group.protocol", "isolation.level", "message.max.bytes", "message.timeout.ms", "metadata.broker.list",
        "partition.assignment.strategy", "partitioner", "request.required.acks", "session.timeout.ms",
        "transaction.timeout.ms", "transactional.id",
    ]
)  # fmt: skip

# How librdkafka's log, at syslog level 6 or below, begins to tell of a connection that is gone and of a request without
# an answer. What was on its way is sent again, on a new connection, and then it says that all went well.
_CONNECTION_LOST = ("FAIL ", "REQTMOUT ")
# What it tells of a broker that it could not connect to, one of several maybe: nothing was on its way to that one.
# Every half minute it adds to the same line how often it kept silent.
_NOT_CONNECTED = re.compile(r"in state (TRY_)?CONNECT\b")
# It logs the first of several errors with the same words within half a minute, and that not at all where the broker has
# closed what was idle for a minute: a connection cut soon after would go unheard. So what is idle is closed from here.
_IDLE_MS_MAX = 50_000
_NOBODY_THERE = frozenset([KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE])
_SYSLOG_INFO = 6
# Python's levels for syslog's, as the client translates them.
_LEVELS = (logging.CRITICAL,) * 3 + (logging.ERROR, logging.WARNING, logging.INFO, logging.INFO, logging.DEBUG)

Configuration = dict[str, Any]

log = structlog.get_logger()


def _common(client: str) -> Configuration:
    return {
        "client.id": f"voucher-ledger-{client}",
        "socket.keepalive.enable": True,
        "socket.nagle.disable": True,
        "reconnect.backoff.max.ms": 1_000,
        "log.connection.close": False,
        "log_level": 2,  # critical: the rest is told by Troubles, once, and by the errors that end something
    }


def _given(settings: Settings) -> Configuration:
    """The operator's own: last in every configuration, so that no default stands in their way."""
    properties = {name: value for name, value in settings.kafka_properties.items() if name not in FIXED_PROPERTIES}
    return {"bootstrap.servers": settings.kafka, **properties}


def admin_config(settings: Settings, **overrides: object) -> Configuration:
    """For AdminClient."""
    return {**_common("admin"), **_dotted(overrides), **_given(settings)}


def producer_config(settings: Settings, **overrides: object) -> Configuration:
    """An idempotent producer; keys are hashed as Java's clients do, so that all producers agree on partitions.

    Overrides are librdkafka properties with `_` for `.`.
    """
    return {
        **_common("producer"),
        "enable.idempotence": True,
        "partitioner": "murmur2_random",
        "compression.type": "lz4",
        "linger.ms": 5,
        "batch.size": 1_048_576,
        "batch.num.messages": 10_000,
        "queue.buffering.max.messages": 200_000,
        "queue.buffering.max.kbytes": 131_072,
        "message.max.bytes": MESSAGE_BYTES_MAX,
        **_dotted(overrides),
        **_given(settings),
    }


class _Heard(logging.Handler):
    """The log of a client that is polled: what is as grave as `told_level` becomes a line of ours.

    It is the only place where librdkafka 2.16 tells that a connection was lost, for `error_cb` is not called for that:
    `lost` is, from the thread that polls.
    """

    def __init__(self, told_level: int, lost: Callable[[KafkaError], None] | None) -> None:
        super().__init__()
        self._told_level = told_level
        self._lost = lost

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line."""
        text = record.getMessage()
        if self._lost is not None and text.startswith(_CONNECTION_LOST):
            self._lost(KafkaError(KafkaError._TRANSPORT, text))
        if record.levelno >= self._told_level:
            log.log(record.levelno, "kafka client", cause=text)


def _logger(name: str, told: int, lost: Callable[[KafkaError], None] | None = None) -> logging.Logger:
    """A logger of its own, which nothing that is set for those of the process mutes; `told` is a level of syslog's."""
    made = logging.Logger(f"kafka {name}")  # noqa: LOG001
    made.addHandler(_Heard(_LEVELS[told], lost))
    return made


def transactional_config(settings: Settings, instance: str, trouble: Callable[[KafkaError], None]) -> Configuration:
    """The producer of one instance. Its transactional id is the instance's name, so that a successor under the same
    name aborts at once what its predecessor left open.

    `trouble` is called, from the thread that polls, with each error and each connection that was lost: a request that
    ends a transaction may still be on its way then, and would end the next one. So poll before each transaction.
    """

    def heard(error: KafkaError) -> None:
        if error.fatal() or not (error.code() in _NOBODY_THERE or _NOT_CONNECTED.search(error.str())):
            trouble(error)

    configuration = producer_config(
        settings,
        client_id=f"voucher-ledger-{instance}",
        transactional_id=f"voucher-ledger-{instance}",
        transaction_timeout_ms=settings.transaction_timeout_ms,
        delivery_timeout_ms=settings.transaction_timeout_ms,
        linger_ms=0.5,
        # commit_transaction tells whether all were delivered; a report a record cost a fifth of producing it.
        delivery_report_only_error=True,
        message_max_bytes=DEAD_LETTER_BYTES_MAX,
        # A transaction's first request is refused until the broker has ended the one before, some milliseconds; the
        # default wait of 100 ms would be most of a transaction's time (measured: 109 ms, and 5 ms with this).
        retry_backoff_ms=1,
        retry_backoff_max_ms=10,
        error_cb=heard,
    )
    told = int(configuration["log_level"])
    # Whatever the operator set: without these lines nothing tells of a lost connection.
    return {
        **configuration, "connections.max.idle.ms": _IDLE_MS_MAX,
        "log.connection.close": True, "log_level": max(told, _SYSLOG_INFO),
        "logger": _logger(instance, told, heard),
    }  # fmt: skip


def consumer_config(settings: Settings, group: str, instance: str | None = None, **overrides: object) -> Configuration:
    """A read_committed consumer that commits nothing by itself.

    With `instance` it is a static member (classic protocol): a restart under the same name takes over without a
    rebalance. Eager assignment: all partitions are given up and recovered together, which keeps one rule for all.
    """
    configuration = {
        **_common(instance or group),
        "group.id": group,
        "group.protocol": "classic",
        "partition.assignment.strategy": "roundrobin",
        "session.timeout.ms": settings.session_timeout_ms,
        "heartbeat.interval.ms": max(300, settings.session_timeout_ms // 6),
        "max.poll.interval.ms": max(60_000, settings.session_timeout_ms),
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "fetch.wait.max.ms": 100,
        "fetch.error.backoff.ms": 100,
        "fetch.queue.backoff.ms": 5,
        "queued.min.messages": 4 * settings.batch_records_max,
        "queued.max.messages.kbytes": settings.fetch_queue_kib,
        "fetch.message.max.bytes": MESSAGE_BYTES_MAX,
        "receive.message.max.bytes": READ_BYTES_MAX,
        **_dotted(overrides),
        **_given(settings),
    }
    # Of a fetch that somebody wants larger the client must take that much.
    fetched = int(configuration.get("fetch.max.bytes", 0)) + _RESPONSE_FRAME_BYTES
    configuration["receive.message.max.bytes"] = max(int(configuration["receive.message.max.bytes"]), fetched)
    if instance is None:
        return configuration
    told = int(configuration["log_level"])
    return {**configuration, "group.instance.id": instance, "logger": _logger(instance, told)}


def group_of(room: str) -> str:
    """The consumer group of a room's processors."""
    return f"voucher-ledger-{room}"


def _dotted(overrides: dict[str, object]) -> Configuration:
    return {name if name.endswith("_cb") else name.replace("_", "."): value for name, value in overrides.items()}

"""What was told on `ledger.alerts` before this monitor started: the topic is the memory of what fires."""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from voucher_ledger.monitor.alert_records import standing_after
from voucher_ledger.monitor.alerts import Key, Standing
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, consumer_config
from voucher_ledger.runtime.settings import Settings

ALERTS_TOPIC = "ledger.alerts"
READ_SECONDS_MAX = 30.0
RETRY_SECONDS = 0.2


def read_standing(settings: Settings) -> dict[Key, Standing]:
    """What fires by the topic's records, read from the first to the last that is there now.

    Raises Unreachable where Kafka does not answer, or has no leader for the topic, for READ_SECONDS_MAX.
    """
    deadline = time.monotonic() + READ_SECONDS_MAX
    while True:
        consumer = Consumer(consumer_config(settings, "voucher-ledger-monitor-alerts", auto_offset_reset="earliest"))
        try:
            partitions = consumer.list_topics(ALERTS_TOPIC, timeout=REQUEST_SECONDS_MAX).topics[ALERTS_TOPIC].partitions
            if not partitions:
                raise KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE))
            values = [value for number in sorted(partitions) for value in _values(consumer, number, deadline)]
            return standing_after(values, time.time())
        except KafkaException as error:
            # A topic that was made, or a broker that was started, a moment ago has no leader for another.
            if time.monotonic() > deadline:
                raise Unreachable(f"Kafka at {settings.kafka}: {ALERTS_TOPIC}: {error.args[0].str()}") from error
        finally:
            consumer.close()
        time.sleep(RETRY_SECONDS)


def _values(consumer: Consumer, number: int, deadline: float) -> list[bytes]:
    start, end = consumer.get_watermark_offsets(TopicPartition(ALERTS_TOPIC, number), timeout=REQUEST_SECONDS_MAX)
    values: list[bytes] = []
    consumer.assign([TopicPartition(ALERTS_TOPIC, number, start)])
    while consumer.position([TopicPartition(ALERTS_TOPIC, number)])[0].offset < end and start < end:
        if time.monotonic() > deadline:
            raise Unreachable(f"{ALERTS_TOPIC} was not read to its end within {READ_SECONDS_MAX:.0f} s")
        for record in consumer.consume(1_000, 0.2):
            error = record.error()
            if error is not None:
                raise KafkaException(error)
            values.append(record.value() or b"")
    return values

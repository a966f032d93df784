"""What was told on `ledger.alerts` before this monitor started: the topic is the memory of what fires."""

import time

from confluent_kafka import Consumer, KafkaException, TopicPartition

from voucher_ledger.monitor.alert_records import standing_after
from voucher_ledger.monitor.alerts import Key, Standing
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, consumer_config
from voucher_ledger.runtime.settings import Settings

ALERTS_TOPIC = "ledger.alerts"
READ_SECONDS_MAX = 30.0


def read_standing(settings: Settings) -> dict[Key, Standing]:
    """What fires by the topic's records, read from the first to the last that is there now.

    Raises Unreachable where Kafka does not answer in READ_SECONDS_MAX.
    """
    consumer = Consumer(consumer_config(settings, "voucher-ledger-monitor-alerts", auto_offset_reset="earliest"))
    try:
        partitions = consumer.list_topics(ALERTS_TOPIC, timeout=REQUEST_SECONDS_MAX).topics[ALERTS_TOPIC].partitions
        values: list[bytes] = []
        for number in sorted(partitions):
            values += _values(consumer, number)
        return standing_after(values, time.time())
    except KafkaException as error:
        raise Unreachable(f"Kafka at {settings.kafka}: {ALERTS_TOPIC}: {error.args[0].str()}") from error
    finally:
        consumer.close()


def _values(consumer: Consumer, number: int) -> list[bytes]:
    start, end = consumer.get_watermark_offsets(TopicPartition(ALERTS_TOPIC, number), timeout=REQUEST_SECONDS_MAX)
    values: list[bytes] = []
    consumer.assign([TopicPartition(ALERTS_TOPIC, number, start)])
    deadline = time.monotonic() + READ_SECONDS_MAX
    while consumer.position([TopicPartition(ALERTS_TOPIC, number)])[0].offset < end and start < end:
        if time.monotonic() > deadline:
            raise Unreachable(f"{ALERTS_TOPIC} was not read to its end within {READ_SECONDS_MAX:.0f} s")
        for record in consumer.consume(1_000, 0.2):
            error = record.error()
            if error is not None:
                raise KafkaException(error)
            values.append(record.value() or b"")
    return values

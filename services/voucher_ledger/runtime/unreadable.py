"""Batches that Kafka's client can't decompress: broken ones, and some kilobytes that hold gigabytes of zeros.

The client tells of such a batch by an error at its first offset, and then asks for it again, for ever. Nothing in it
can be read, but how many records it has can be found: who begins to read at an offset within it gets the same error.
"""

import time

from confluent_kafka import Consumer, KafkaError, TopicPartition

from voucher_ledger.runtime.errors import SessionLost, is_passing, lost
from voucher_ledger.runtime.incoming import unread
from voucher_ledger.runtime.kafka import READ_BYTES_MAX, REQUEST_SECONDS_MAX, consumer_config
from voucher_ledger.runtime.outbox import DeadLetter
from voucher_ledger.runtime.settings import Settings

# What the errors of one look may take: each asks for the batch once more, and tries to decompress it.
LOOK_SECONDS_MAX = 15.0


def is_unreadable(error: KafkaError) -> bool:
    """Whether this error of a consumer stands for a batch that can't be decompressed; its message has the place."""
    return error.code() == KafkaError._BAD_COMPRESSION


def letters(partition: int, base: int, first: int, end: int) -> list[DeadLetter]:
    """A dead letter for each record from `first` up to `end`, of the batch that begins at `base`."""
    why = (
        f"its batch, which begins at offset {base}, can't be decompressed: it is broken, or holds more than "
        f"{READ_BYTES_MAX:,} bytes"
    )
    return [DeadLetter(partition, offset, None, None, [], unread(why)) for offset in range(first, end)]


def end_of_batch(settings: Settings, topic: str, partition: int, base: int, start: int) -> int:
    """Where reading from `start` on goes on, which lies in the unreadable batch that begins at `base`: behind its end.
    It is `start` where that can be read: then the error was a passing one.

    Raises SessionLost where that can't be told, Inconsistent where `start` is no longer in the topic, KafkaException
    where Kafka does not answer.
    """
    consumer = Consumer(consumer_config(settings, "voucher-ledger-unreadable", enable_partition_eof=True))
    try:
        if not _is_within(consumer, TopicPartition(topic, partition, start), base):
            return start
        marks = consumer.get_watermark_offsets(TopicPartition(topic, partition), REQUEST_SECONDS_MAX)
        if marks is None:
            raise SessionLost(f"watermarks of {topic}/{partition}: no answer")
        inside, outside, step = start, marks[1], 1
        while inside + 1 < outside:
            # In growing steps first, then by halves: such a batch mostly has few records, and the topic has many.
            asked = min(inside + step, (inside + outside) // 2)
            if _is_within(consumer, TopicPartition(topic, partition, asked), base):
                inside, step = asked, 2 * step
            else:
                outside, step = asked, outside
        return outside
    finally:
        consumer.close()


def _is_within(consumer: Consumer, place: TopicPartition, base: int) -> bool:
    consumer.assign([place])
    deadline = time.monotonic() + LOOK_SECONDS_MAX
    while time.monotonic() < deadline:
        record = consumer.poll(0.5)
        if record is None:
            continue
        error = record.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return False
        if is_unreadable(error):
            return record.offset() == base
        if not is_passing(error):
            raise lost(error)
    raise SessionLost(f"{place.topic}/{place.partition}: the batch at offset {base} can't be read, nor where it ends")

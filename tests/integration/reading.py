"""Reads the committed records of whole topics, from their first ones on."""

import time
import uuid
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from tests.integration.broker import WAIT_SECONDS_MAX
from voucher_ledger.runtime import kafka
from voucher_ledger.runtime.settings import Settings

DEAD_LETTERS = "ledger.dead-letters"
LOOK_SECONDS = 0.2
# The broker holds a fetch at a partition's end back for as long, and with it the news that this is the end.
END_WAIT_MS = 10
# More than a processor reads of a batch: a test knows what it has sent.
READ_BYTES_MAX = 1_000_000_000


class Reading:
    """All records of some topics that are committed, as they come; it ends nowhere by itself."""

    def __init__(self, settings: Settings, names: Sequence[str], **overrides: Any) -> None:
        named = {"auto_offset_reset": "earliest", "enable_partition_eof": True, **overrides}
        configuration = kafka.consumer_config(
            settings, f"test-{uuid.uuid4()}", receive_message_max_bytes=READ_BYTES_MAX, **named
        )
        self._consumer = Consumer(configuration)
        self._places = {
            (name, number)
            for name in names
            for number in self._consumer.list_topics(name, timeout=10).topics[name].partitions
        }
        self._ended: set[tuple[str, int]] = set()
        self._consumer.assign([TopicPartition(name, number, 0) for name, number in self._places])

    def more(self) -> list[Message]:
        """What has come since, waited for a moment."""
        found: list[Message] = []
        # Asked for many it waits for as many: for the first one, then, and for what has come with it.
        for record in self._consumer.consume(1, LOOK_SECONDS) + self._consumer.consume(10_000, 0):
            error = record.error()
            if error is None:
                found.append(record)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._ended.add((record.topic() or "", record.partition() or 0))
        return found

    def has_ended(self) -> bool:
        """Whether each partition was read to where it ended at some moment since the beginning."""
        return self._ended == self._places

    def close(self) -> None:
        """Let the broker go."""
        self._consumer.close()


def read(settings: Settings, name: str, count: int | None) -> list[Message]:
    """The records of a topic: waits for `count` of them, or (None) reads to the end as it is now."""
    # Who waits for records has them as soon as they are there: to ask for them more often costs the broker.
    with closing(Reading(settings, [name], **({"fetch_wait_max_ms": END_WAIT_MS} if count is None else {}))) as reading:
        found: list[Message] = []
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while (len(found) < count) if count is not None else not reading.has_ended():
            assert time.monotonic() < deadline, f"{name}: {len(found)} of {count} records within {WAIT_SECONDS_MAX} s"
            found += reading.more()
        return found


def cause_of(dead_letter: Message) -> str:
    """The place of its record: topic/partition/offset."""
    headers = dict(dead_letter.headers() or [])
    return f"{command_topic_of(dead_letter)}/{int(headers['dlq_partition'] or -1)}/{int(headers['dlq_offset'] or -1)}"


def command_topic_of(answer: Message) -> str:
    """The topic of the command that an event or a dead letter answers."""
    name = answer.topic() or ""
    if name != DEAD_LETTERS:
        return name.replace("events", "commands")
    told = dict(answer.headers() or [])["dlq_topic"] or b""
    return told if isinstance(told, str) else told.decode()

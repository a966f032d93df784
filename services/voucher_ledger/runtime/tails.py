"""Whether anything that can be decided is left behind a position: what a transaction leaves in a topic is no work.

After its records lies a marker, and those of an aborted one nobody reads. Both have offsets, so the end of a topic
alone would tell of a lag that lasts until the partition's next record.
"""

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaError, TopicPartition

from voucher_ledger.core.records import Place
from voucher_ledger.runtime.kafka import consumer_config
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.troubles import Troubles


class Tails:
    """Looks at the first records behind positions, with a consumer that joins no group. `close` it at the end."""

    def __init__(self, settings: Settings) -> None:
        self._consumer = Consumer(
            consumer_config(
                settings,
                "voucher-ledger-tails",
                enable_partition_eof=True,
                queued_min_messages=1_000,  # with fewer, fetching the next partition waits for the first
                queued_max_messages_kbytes=65_536,
                auto_offset_reset="earliest",
                error_cb=Troubles(),
            )
        )

    def first_records_ms(
        self, undecided: Mapping[Place, int], ends: Mapping[Place, int], seconds_max: float
    ) -> dict[Place, int | None]:
        """The time in ms since 1970 of the first record at or behind the offset `undecided` of each place; None where
        nothing is left before its end. What is not known within `seconds_max` is missing, and so is what an open
        transaction hides. Raises KafkaException where the consumer can't be assigned.
        """
        found: dict[Place, int | None] = {}
        if not undecided:
            return found
        deadline = time.monotonic() + seconds_max
        looked_at = 0
        self._consumer.incremental_assign([TopicPartition(*place, offset) for place, offset in undecided.items()])
        try:
            while looked_at < len(undecided) and (left := deadline - time.monotonic()) > 0:
                message = self._consumer.poll(left)
                if message is None:
                    continue
                place = (str(message.topic()), int(message.partition() or 0))
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    continue
                if error is None:
                    found[place] = int(message.timestamp()[1])
                elif int(message.offset() or 0) >= ends[place]:
                    found[place] = None
                looked_at += 1
                # One answer is enough: more of this partition would only be in the way.
                self._consumer.incremental_unassign([TopicPartition(*place)])
        finally:
            self._consumer.unassign()
        return found

    def close(self) -> None:
        """Leave Kafka."""
        self._consumer.close()

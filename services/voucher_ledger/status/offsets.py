"""What Kafka says of partitions and groups, for readers that outlive its brokers.

All of it is asked by plain consumers. An AdminClient whose group requests timed out while a broker was away never gets
an answer again, and librdkafka 2.16 may abort the process over it (`eonce->refcnt > 0`); a consumer finds its
coordinator again by itself.
"""

from collections import defaultdict
from collections.abc import Sequence

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

from voucher_ledger.core.messages import ROOM_BY_COMMAND_TOPIC
from voucher_ledger.core.records import Place
from voucher_ledger.produce.clients import open_client
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, consumer_config, group_of
from voucher_ledger.runtime.settings import Settings


class GroupOffsets:
    """Reads what the rooms' groups have committed. `close` it at the end.

    Its consumers are of those groups by name only: they neither subscribe nor are assigned anything, so none joins.
    """

    def __init__(self, settings: Settings) -> None:
        # Offsets of a transaction under way are not waited for: under load there is always one, and librdkafka asks on
        # until its timeout.
        self._consumers = {
            str(topic): open_client(
                Consumer, consumer_config(settings, group_of(room), isolation_level="read_uncommitted")
            )
            for topic, room in ROOM_BY_COMMAND_TOPIC.items()
        }

    def read(self, places: Sequence[Place]) -> dict[Place, int]:
        """The committed offsets of those `places` that have one; what an open transaction would commit is not in it.

        Raises KafkaException where Kafka does not answer within REQUEST_SECONDS_MAX a group.
        """
        wanted: defaultdict[str, list[TopicPartition]] = defaultdict(list)
        for place in places:
            wanted[place[0]].append(TopicPartition(*place))
        found: dict[Place, int] = {}
        for topic, partitions in wanted.items():
            consumer = self._consumers[topic]
            consumer.poll(0)  # what it complains of would pile up
            committed = consumer.committed(partitions, timeout=REQUEST_SECONDS_MAX)
            found.update({place: offset for place, offset in _offsets(committed).items() if offset >= 0})
        return found

    def close(self) -> None:
        """Leave Kafka."""
        for consumer in self._consumers.values():
            consumer.close()


def starts_of(consumer: Consumer, places: Sequence[Place]) -> dict[Place, int]:
    """The offset of the first record that each place holds. Raises KafkaException."""
    return _asked(consumer, places, OFFSET_BEGINNING)


def ends_of(consumer: Consumer, places: Sequence[Place]) -> dict[Place, int]:
    """The offset that each place's next record gets, by the `isolation.level` of `consumer`. Raises KafkaException."""
    return _asked(consumer, places, OFFSET_END)


def _asked(consumer: Consumer, places: Sequence[Place], which: int) -> dict[Place, int]:
    # In place of a time the protocol takes the two ends: one request a broker, where watermarks are one a partition.
    wanted = [TopicPartition(*place, which) for place in places]
    return _offsets(consumer.offsets_for_times(wanted, timeout=REQUEST_SECONDS_MAX))


def _offsets(answer: Sequence[TopicPartition]) -> dict[Place, int]:
    for place in answer:
        if place.error is not None:
            raise KafkaException(place.error)
    return {(place.topic, place.partition): place.offset for place in answer}

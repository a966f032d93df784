"""What consumer groups have committed, for whoever is no member."""

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from voucher_ledger.core.records import Place
from voucher_ledger.runtime.kafka import ANSWER_SECONDS_MAX, REQUEST_SECONDS_MAX, admin_config
from voucher_ledger.runtime.settings import Settings


def committed_offsets(settings: Settings, group: str, *, stable: bool, place: Place | None = None) -> dict[Place, int]:
    """The group's offsets by topic and partition, of those that it has committed (only of `place`, where one is given);
    none of a group that is not there.

    Raises KafkaException where Kafka does not answer; also, if they are to be `stable`, where a commit is under way in
    an open transaction.
    """
    admin = AdminClient(admin_config(settings))
    asked = ConsumerGroupTopicPartitions(group, None if place is None else [TopicPartition(*place)])
    future = admin.list_consumer_group_offsets([asked], require_stable=stable, request_timeout=REQUEST_SECONDS_MAX)
    try:
        answer = future[group].result(ANSWER_SECONDS_MAX)
    except TimeoutError as error:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error
    except KafkaException as error:
        if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
            return {}
        raise
    found: dict[Place, int] = {}
    for committed in answer.topic_partitions or ():
        if committed.error is not None:
            raise KafkaException(committed.error)
        if committed.offset >= 0:
            found[committed.topic, committed.partition] = committed.offset
    return found

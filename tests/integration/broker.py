"""What operators, and accidents, do to groups and topics."""

import time
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from voucher_ledger.runtime import kafka, topics
from voucher_ledger.runtime.settings import Settings

WAIT_SECONDS_MAX = 90.0
_GONE_OR_GOING = {"UNKNOWN_TOPIC_OR_PART", "GROUP_ID_NOT_FOUND", "NON_EMPTY_GROUP"}


def delete_group(settings: Settings, room: str) -> None:
    """Make Kafka forget the offsets of a room's group, once its members are gone."""
    admin = AdminClient(kafka.admin_config(settings))
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    group = kafka.group_of(room)
    while group in [found.group_id for found in admin.list_consumer_groups().result().valid]:
        assert time.monotonic() < deadline, f"{group} is still there"
        _settle(admin.delete_consumer_groups([group]))


def move_group_offset(settings: Settings, room: str, to: TopicPartition) -> None:
    """Do what operators do with kafka-consumer-groups --reset-offsets, once the group's members are gone."""
    admin = AdminClient(kafka.admin_config(settings))
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    request = ConsumerGroupTopicPartitions(kafka.group_of(room), [to])
    moved: Any = to
    while moved.error is not None or moved is to:  # refused while the group has members
        assert time.monotonic() < deadline, moved.error
        answer = admin.alter_consumer_group_offsets([request])[request.group_id].result()
        moved = answer.topic_partitions[0]


def remake_topic(settings: Settings, topic: str) -> None:
    """Delete a topic and make it again under the same name."""
    admin = AdminClient(kafka.admin_config(settings))
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while topic in admin.list_topics(timeout=10).topics:
        assert time.monotonic() < deadline, f"{topic} is still there"
        _settle(admin.delete_topics([topic]))
    topics.ensure_topics(settings)


def delete_records(settings: Settings, place: TopicPartition) -> None:
    """Delete what lies before the offset of `place`."""
    admin = AdminClient(kafka.admin_config(settings))  # a name keeps it until it has answered
    admin.delete_records([place])[place].result(WAIT_SECONDS_MAX)


def reset_broker(settings: Settings) -> None:
    """Delete all topics and groups, and wait until they are gone."""
    admin = AdminClient(kafka.admin_config(settings))
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while groups := [group.group_id for group in admin.list_consumer_groups().result().valid]:
        assert time.monotonic() < deadline, f"groups {groups} are still there"
        _settle(admin.delete_consumer_groups(groups))
    while names := [name for name in admin.list_topics(timeout=10).topics if not name.startswith("__")]:
        assert time.monotonic() < deadline, f"topics {names} are still there"
        _settle(admin.delete_topics(names))


def _settle(futures: dict[str, Any]) -> None:
    for future in futures.values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].name() not in _GONE_OR_GOING:
                raise

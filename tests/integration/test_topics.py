"""`voucher-ledger topics` beside topics that somebody else has made."""

import time

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from tests.integration.broker import WAIT_SECONDS_MAX, reset_broker
from tests.integration.world import COMMAND_TOPICS, World
from voucher_ledger.produce.clients import known_topics
from voucher_ledger.runtime import kafka, topics

pytestmark = pytest.mark.integration


def test_topics_tells_what_differs(world: World) -> None:
    assert topics.ensure_topics(world.settings) == ([], [])
    known_topics(world.producer, world.settings.kafka, topics.wanted_topics())
    reset_broker(world.settings)
    topics.ensure_topics(world.settings, record_time="CreateTime")
    made, differences = topics.ensure_topics(world.settings)
    assert made == []
    told = {(difference.topic, difference.what, difference.wanted, difference.found) for difference in differences}
    assert told == {(topic, "message.timestamp.type", "LogAppendTime", "CreateTime") for topic in COMMAND_TOPICS}


def test_a_room_needs_as_many_partitions_of_events_as_of_commands(world: World) -> None:
    admin = AdminClient(kafka.admin_config(world.settings))
    admin.create_partitions([NewPartitions("claim.commands", 9)])["claim.commands"].result()
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while topics.describe(world.settings, "claim.commands").partitions < 9:  # the controller knows before the broker
        assert time.monotonic() < deadline
    assert "claim.events has 8 partitions, claim.commands has 9" in world.failure_of("claims")

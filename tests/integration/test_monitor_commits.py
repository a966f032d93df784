"""What the monitor has counted is committed, so that a start reads little again, however many transactions told it."""

import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.test_monitor import FAR_FUTURE, Monitor, grants
from tests.integration.world import World
from tests.unit.demand_given import record, row
from voucher_ledger.core.demand import DEMAND_TOPIC
from voucher_ledger.monitor.faust_app import APP_ID
from voucher_ledger.runtime.kafka import consumer_config, producer_config

pytestmark = pytest.mark.integration

TRANSACTIONS = 50


def produce_rollups(world: World) -> TopicPartition:
    """Each in a transaction of its own, as batches publish them; where the last one lies."""
    producer = Producer({**producer_config(world.settings), "transactional.id": "rollups"})
    producer.init_transactions(WAIT_SECONDS_MAX)
    last: list[TopicPartition] = []

    def delivered(error: KafkaError | None, told: Message) -> None:
        assert error is None, error
        last.append(TopicPartition(DEMAND_TOPIC, told.partition() or 0, told.offset() or 0))

    for number in range(TRANSACTIONS):
        producer.begin_transaction()
        value = record([row(0)], number + 1, "claim.commands/7", first_offset=number)
        producer.produce(DEMAND_TOPIC, value, b"grey", on_delivery=delivered)
        producer.commit_transaction(WAIT_SECONDS_MAX)
    assert len({place.partition for place in last}) == 1, "one campaign's rollups are on one partition"
    return last[-1]


def test_all_that_was_counted_is_committed(world: World, tmp_path: Path) -> None:
    monitor, log = Monitor(world), tmp_path / "log"
    monitor.start(log)
    world.open_campaign(ends_at=FAR_FUTURE)
    last = produce_rollups(world)
    monitor.wait(lambda state: grants(state) == TRANSACTIONS, log)
    group = Consumer(consumer_config(world.settings, APP_ID))
    try:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        committed = -1
        while committed <= last.offset and time.monotonic() < deadline:
            committed = group.committed([TopicPartition(DEMAND_TOPIC, last.partition)], WAIT_SECONDS_MAX)[0].offset
    finally:
        group.close()
    assert committed > last.offset, f"of {last.offset + 1} offsets {committed} are committed"

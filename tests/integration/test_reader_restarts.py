"""A reader that runs on while its broker goes away and comes back, and what it says of an open transaction."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupState, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.world import World
from voucher_ledger.dev import cluster
from voucher_ledger.produce.clients import known_topics
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.kafka import admin_config, consumer_config, group_of, producer_config
from voucher_ledger.status import read
from voucher_ledger.status.read import Reader
from voucher_ledger.status.snapshot import Snapshot

pytestmark = pytest.mark.integration

CLAIMS = 20


def snapshot_in_the_end(reader: Reader) -> Snapshot:
    """The next snapshot that succeeds."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        try:
            return reader.snapshot()
        except Unreachable:
            if time.monotonic() > deadline:
                raise


def published(snapshot: Snapshot) -> int:
    """Offsets committed by the rooms' groups, all partitions together."""
    return sum(place.published_offset or 0 for place in snapshot.partitions)


def test_a_reader_goes_on_after_each_restart_of_the_broker(
    world: World, cluster_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.open_campaign(quota=CLAIMS)
    world.spawn("claims")
    world.send("claim.commands", [claim(number) for number in range(CLAIMS)])
    world.wait_answered("claim.commands", CLAIMS)
    known = {}

    def remembered(*arguments: Any) -> Any:
        # The broker goes away between the question for topics, which it answered, and the one for the groups.
        with suppress(Unreachable):
            known["topics"] = known_topics(*arguments)
        return known["topics"]

    monkeypatch.setattr(read, "known_topics", remembered)
    for module in ("voucher_ledger.status.offsets", "voucher_ledger.produce.clients"):
        monkeypatch.setattr(f"{module}.REQUEST_SECONDS_MAX", 2.0)
    reader = Reader(world.settings, world.connection)
    try:
        before = snapshot_in_the_end(reader)
        for hard in (False, True):
            cluster.stop_kafka(cluster_directory, hard)
            for _ in range(2):
                with pytest.raises(Unreachable):
                    reader.snapshot()
            cluster.start_kafka(cluster_directory)
            assert published(snapshot_in_the_end(reader)) == published(before)
    finally:
        reader.close()
    assert published(before) >= CLAIMS


def test_an_open_transaction_is_neither_waited_for_nor_counted(world: World) -> None:
    producer = Producer({**producer_config(world.settings), "transactional.id": "open"})
    member = Consumer(consumer_config(world.settings, group_of("claims")))
    place = ("claim.commands", 3)
    reader = Reader(world.settings, world.connection)

    def committed() -> int | None:
        found = snapshot_in_the_end(reader).partitions
        return next(one.published_offset for one in found if (one.topic, one.partition) == place)

    def send_offset(offset: int) -> None:
        producer.begin_transaction()
        offsets = [TopicPartition(*place, offset)]
        producer.send_offsets_to_transaction(offsets, member.consumer_group_metadata(), WAIT_SECONDS_MAX)

    try:
        assert committed() is None
        producer.init_transactions(WAIT_SECONDS_MAX)
        send_offset(7)
        producer.commit_transaction(WAIT_SECONDS_MAX)
        send_offset(9)
        assert committed() == 7
        producer.abort_transaction(WAIT_SECONDS_MAX)
        groups = AdminClient(admin_config(world.settings)).list_consumer_groups().result().valid
        joined = [one.group_id for one in groups if one.state != ConsumerGroupState.EMPTY]
        assert joined == [], "a reader is no member"
    finally:
        reader.close()
        member.close()

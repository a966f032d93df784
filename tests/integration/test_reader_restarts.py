"""A reader that runs on while its broker goes away and comes back, and what it says of an open transaction."""

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, ConsumerGroupState, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client import Metric

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.world import World
from voucher_ledger.dev import cluster
from voucher_ledger.metrics import catalogue
from voucher_ledger.metrics.ledger import LedgerCollector
from voucher_ledger.produce.clients import known_topics
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.kafka import admin_config, consumer_config, group_of, producer_config
from voucher_ledger.status import command as status_command
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
    reader = Reader(world.settings, application="test")
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
    reader = Reader(world.settings, application="test")

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


def test_what_a_transaction_leaves_in_a_topic_is_no_lag(world: World) -> None:
    """Its marker, and the records of an aborted one; what an open one may still commit is lag."""
    world.open_campaign(quota=CLAIMS)
    world.spawn("claims")
    producer = Producer({**producer_config(world.settings), "transactional.id": "redrive"})
    producer.init_transactions(WAIT_SECONDS_MAX)
    place = ("claim.commands", 3)
    reader, collector = Reader(world.settings, application="test"), LedgerCollector(world.settings)

    def send(count: int) -> None:
        producer.begin_transaction()
        for number in range(count):
            command = claim(number)
            producer.produce(place[0], orjson.dumps(command), command["data"]["user_id"], partition=place[1])
        assert producer.flush(WAIT_SECONDS_MAX) == 0

    def lag() -> tuple[int, int]:
        """By status and by the metrics, which look behind a position when they see it a second time."""
        found = snapshot_in_the_end(reader).partitions
        families: list[Metric] = []
        (told,) = [one.lag_records for one in found if (one.topic, one.partition) == place]
        for _ in range(2):
            collector._looked_seconds = float("-inf")
            families.extend(collector.collect())
        *_, counted = [
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == catalogue.LAG_RECORDS.name and (*sample.labels.values(),) == (place[0], str(place[1]))
        ]
        return told, int(counted)

    def lag_in_the_end(expected: tuple[int, int]) -> tuple[int, int]:
        """What is not known in time counts as lag: on a busy machine another look knows it."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while (found := lag()) != expected and time.monotonic() < deadline:
            pass
        return found

    try:
        send(2)
        producer.commit_transaction(WAIT_SECONDS_MAX)
        world.wait_answered(place[0], 2)
        assert lag_in_the_end((0, 0)) == (0, 0)
        send(3)
        assert lag() == (4, 4), "the marker that was there, and what may still be committed"
        producer.abort_transaction(WAIT_SECONDS_MAX)
        assert lag_in_the_end((0, 0)) == (0, 0)
    finally:
        reader.close()
        collector.close()


def test_a_watch_outlives_its_database_session(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    end_sessions = """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE application_name = 'voucher-ledger-status' AND datname = current_database()"""

    class EndSessionBeforeTheSecondLook(threading.Event):
        looks = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.looks += 1
            if self.looks == 1:
                assert world.connection.execute(end_sessions).fetchall() == [(True,)]
            return self.looks == 3

    stop = EndSessionBeforeTheSecondLook()
    assert status_command.run(world.settings, watch=True, json=True, stop=stop) == ExitCode.DONE
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 2
    (missed,) = [line for line in told.err.splitlines() if line.startswith("error: ")]
    assert "Postgres" in missed
    assert missed.endswith("looking again")

"""What bounds a processor: memory under a backlog, and decided batches that can't be published.

The bound on memory: what librdkafka fetches ahead (VOUCHER_LEDGER_FETCH_QUEUE_KIB, and as much again for what is on its
way), at most `publish_batches_max` + 2 decided batches, and one transaction of at most 20,000 events. The backlog is
no part of it.
"""

import re
from pathlib import Path
from random import Random

import pytest
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.stalled_kafka import stalled_kafka
from tests.integration.waits import decided, outbox_rows, wait_decided, wait_outbox_rows
from tests.integration.world import World
from voucher_ledger.runtime import kafka

pytestmark = pytest.mark.integration

BACKLOG = 300_000
CHUNK = 50_000
BACKLOG_SECONDS_MAX = 240.0
LARGE_BYTES = 900_000
LARGE_RECORDS = 600
LARGE_CHUNK = 50
RSS_MIB_MAX = 400
BATCH_RECORDS_MAX = 20
PUBLISH_BATCHES_MAX = 3
LOOKS = 40


def peak_rss_mib(pid: int) -> int:
    """The most memory that a process ever had resident."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) // 1024


@pytest.mark.timeout(BACKLOG_SECONDS_MAX + 3 * WAIT_SECONDS_MAX)
def test_memory_is_bounded_under_a_backlog(world: World) -> None:
    world.open_campaign(quota=BACKLOG // 2, budget_minor=BACKLOG // 2 * 2_500)
    for start in range(0, BACKLOG, CHUNK):
        world.send("claim.commands", (claim(number) for number in range(start, start + CHUNK)))
    process = world.spawn("claims", environment={"VOUCHER_LEDGER_FETCH_QUEUE_KIB": "8192"})
    wait_decided(world, "claim.commands", BACKLOG, BACKLOG_SECONDS_MAX)
    peak_mib = peak_rss_mib(process.pid)
    process.terminate()
    assert process.wait(WAIT_SECONDS_MAX) == 0
    assert peak_mib < RSS_MIB_MAX, f"{peak_mib} MiB"
    print(f"peak of the processor: {peak_mib} MiB")
    assert world.balances()["granted", "VOUCHER"] == BACKLOG // 2
    assert world.faults() == []


@pytest.mark.timeout(BACKLOG_SECONDS_MAX + 3 * WAIT_SECONDS_MAX)
def test_memory_is_bounded_under_a_flood_of_large_records(world: World) -> None:
    """Each becomes a dead letter as large as itself; more of them wait than the process may ever hold."""
    noise = Random(1)
    for _ in range(0, LARGE_RECORDS, LARGE_CHUNK):  # more would not fit in the test's own producer
        world.send_raw("claim.commands", [(None, noise.randbytes(LARGE_BYTES)) for _ in range(LARGE_CHUNK)])
    process = world.spawn("claims", environment={"VOUCHER_LEDGER_FETCH_QUEUE_KIB": "8192"})
    wait_decided(world, "claim.commands", LARGE_RECORDS, BACKLOG_SECONDS_MAX)
    peak_mib = peak_rss_mib(process.pid)
    process.terminate()
    assert process.wait(WAIT_SECONDS_MAX) == 0
    print(f"peak of the processor: {peak_mib} MiB")
    assert peak_mib < RSS_MIB_MAX, f"{peak_mib} MiB"
    assert world.faults() == []


def test_deciding_stops_when_publishing_is_stalled(world: World) -> None:
    world.open_campaign()
    world.send("claim.commands", [claim(number) for number in range(2_000)], partition=0)
    with stalled_kafka(world) as (proxy, environment):
        limits = {
            "VOUCHER_LEDGER_BATCH_RECORDS_MAX": str(BATCH_RECORDS_MAX),
            "VOUCHER_LEDGER_PUBLISH_BATCHES_MAX": str(PUBLISH_BATCHES_MAX),
        }
        process = world.spawn("claims", environment=environment | limits)
        assert proxy.held.wait(WAIT_SECONDS_MAX)
        in_transaction = end_of(world, TopicPartition("claim.events", 0))
        # The queue is full, and one batch more is decided and waits for its place.
        waiting = PUBLISH_BATCHES_MAX + 1
        wait_outbox_rows(world, waiting, first_offset=in_transaction)
        stood_at = decided(world, "claim.commands")
        assert in_transaction < stood_at <= in_transaction + waiting * BATCH_RECORDS_MAX < 2_000
        for _ in range(LOOKS):
            assert decided(world, "claim.commands") == stood_at
        assert outbox_rows(world, first_offset=in_transaction) == waiting
        proxy.release.set()
        world.wait_answered("claim.commands", 2_000)
        assert process.poll() is None
    assert world.faults() == []


def end_of(world: World, place: TopicPartition) -> int:
    """Where a partition ends, open transactions included."""
    admin = AdminClient(kafka.admin_config(world.settings))
    asked = admin.list_offsets({place: OffsetSpec.latest()}, isolation_level=IsolationLevel.READ_UNCOMMITTED)
    return int(asked[place].result().offset)

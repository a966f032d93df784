"""The thirteen rules of the protocol (docs/ARCHITECTURE.md), each by a test that fails without it."""

import signal

import pytest
from confluent_kafka import TopicPartition

from tests.integration import broker
from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim, envelope
from tests.integration.waits import outbox_rows, wait_outbox_empty
from tests.integration.world import World
from voucher_ledger.runtime import processor
from voucher_ledger.runtime.errors import SessionLost
from voucher_ledger.runtime.positions import Advance, Position, Positions
from voucher_ledger.runtime.processor import Instance, InstanceTaken

pytestmark = pytest.mark.integration

CLAIMS = 1_000


@pytest.fixture
def loaded(world: World) -> World:
    """A campaign of 1,000 cards and 1,000 claims waiting."""
    world.open_campaign()
    world.send("claim.commands", [claim(number) for number in range(CLAIMS)])
    return world


def test_rule_01_a_member_of_an_old_generation_cannot_publish(loaded: World) -> None:
    zombie = loaded.spawn("claims", instance="claims-0", window="after_commit", signal="SIGSTOP")
    loaded.wait_stopped(zombie)
    loaded.spawn("claims", instance="claims-1")
    published = {event["id"] for event in loaded.outcomes("claim", CLAIMS)}
    zombie.send_signal(signal.SIGCONT)  # its first act is to hand the batch to its publisher
    loaded.send("claim.commands", [claim(CLAIMS)])
    loaded.outcomes("claim", CLAIMS + 1)
    assert len(published) == CLAIMS
    assert loaded.faults() == []


def test_rule_02_pending_offsets_are_waited_for(loaded: World) -> None:
    zombie = loaded.spawn("claims", instance="claims-0", window="in_transaction", signal="SIGSTOP")
    loaded.wait_stopped(zombie)
    loaded.spawn("claims", instance="claims-1")
    loaded.wait_epoch_above("claim.commands", 1)  # the successor now asks for the committed offsets
    zombie.send_signal(signal.SIGCONT)  # and the zombie ends its transaction
    loaded.outcomes("claim", CLAIMS)
    assert loaded.faults() == []


def test_rule_04_the_position_moves_only_from_the_expected_offset(world: World) -> None:
    expect_a_fence(world)


def expect_a_fence(world: World) -> None:
    """A step from another offset than the stored one must be refused, whoever has the epoch."""
    positions = Positions("claim.commands", "topic-id", "claims-0")
    held = positions.raise_epoch(world.connection, 0, 0)
    positions.advance(world.connection, {0: held}, [Advance(0, 10, 0, 10)])
    with pytest.raises(SessionLost):
        positions.advance(world.connection, {0: Position(0, held.epoch)}, [Advance(0, 10, 0, 10)])
    with pytest.raises(SessionLost):
        positions.advance(world.connection, {0: Position(10, held.epoch - 1)}, [Advance(0, 20, 0, 10)])


def test_rule_05_a_frozen_transaction_does_not_hold_a_position_for_ever(loaded: World) -> None:
    zombie = loaded.spawn("claims", instance="claims-0", window="before_commit", signal="SIGSTOP")
    loaded.wait_stopped(zombie)
    loaded.spawn("claims", instance="claims-1")
    loaded.outcomes("claim", CLAIMS)  # while the zombie is still frozen
    assert loaded.faults() == []


def test_rules_06_and_07_the_outbox_keeps_one_row_a_partition_until_it_is_published(loaded: World) -> None:
    assert loaded.spawn("claims", window="after_commit").wait(WAIT_SECONDS_MAX) == -signal.SIGKILL
    rows = loaded.connection.execute(
        "SELECT partition, count(*), min(first_offset), max(next_offset) FROM books.outbox GROUP BY partition"
    ).fetchall()
    assert rows
    assert all(count == 1 for _, count, _, _ in rows)
    positions = loaded.connection.execute("SELECT partition, next_offset FROM books.position").fetchall()
    assert {(partition, last) for partition, _, _, last in rows} <= set(positions)
    loaded.spawn("claims")
    loaded.outcomes("claim", CLAIMS)
    assert loaded.faults() == []


@pytest.mark.parametrize("window", ["after_commit", "after_publish"])
def test_rule_08_the_published_mark_is_found_without_the_groups_offset(loaded: World, window: str) -> None:
    assert loaded.spawn("claims", window=window).wait(WAIT_SECONDS_MAX) == -signal.SIGKILL
    assert loaded.connection.execute("SELECT count(*) FROM books.outbox").fetchone() != (0,)
    broker.delete_group(loaded.settings, "claims")
    loaded.spawn("claims")
    loaded.outcomes("claim", CLAIMS)
    assert loaded.faults() == []


def test_rule_08_what_a_predecessor_published_leaves_the_outbox_of_an_idle_partition(world: World) -> None:
    """It was told as events that do not go out, until that partition had its next command."""
    world.open_campaign()
    world.send("claim.commands", [claim(number) for number in range(20)])
    assert world.spawn("claims", window="after_publish").wait(WAIT_SECONDS_MAX) == -signal.SIGKILL
    assert outbox_rows(world) > 0
    world.spawn("claims")
    world.outcomes("claim", 20)
    wait_outbox_empty(world)


def test_rule_08_a_ledger_older_than_what_was_published_stops_though_the_groups_offset_is_gone(loaded: World) -> None:
    """A database restored from a backup, or a new one, beside a group that Kafka has forgotten."""
    loaded.stop_cleanly(loaded.spawn("claims"), "claim", CLAIMS)
    broker.delete_group(loaded.settings, "claims")
    loaded.connection.execute("UPDATE books.position SET next_offset = 0 WHERE topic = 'claim.commands'")
    assert "Deciding would answer twice" in loaded.failure_of("claims")
    loaded.connection.execute("DELETE FROM books.position WHERE topic = 'claim.commands'")
    assert "Deciding would answer twice" in loaded.failure_of("claims")


def test_rule_09_a_topic_made_anew_is_noticed(loaded: World) -> None:
    loaded.stop_cleanly(loaded.spawn("claims"), "claim", CLAIMS)
    broker.remake_topic(loaded.settings, "claim.commands")
    assert "was made anew" in loaded.failure_of("claims")


def test_rule_09_offsets_moved_by_somebody_stop_the_partition(loaded: World) -> None:
    loaded.stop_cleanly(loaded.spawn("claims"), "claim", CLAIMS)
    broker.move_group_offset(loaded.settings, "claims", TopicPartition("claim.commands", 0, 1_000_000))
    assert "somebody moved the offsets" in loaded.failure_of("claims")


def test_rule_09_offsets_off_the_boundary_of_a_batch_stop_the_partition(loaded: World) -> None:
    assert loaded.spawn("claims", window="after_commit").wait(WAIT_SECONDS_MAX) == -signal.SIGKILL
    partition, first = loaded.first_outbox_row()
    broker.move_group_offset(loaded.settings, "claims", TopicPartition("claim.commands", partition, first + 1))
    assert "the outbox goes on at" in loaded.failure_of("claims")


def test_rule_09_a_batch_that_is_missing_in_the_outbox_stops_the_partition(loaded: World) -> None:
    """Its events would never be published, and nobody would know."""
    loaded.stop_cleanly(loaded.spawn("claims"), "claim", CLAIMS)
    loaded.send("claim.commands", [claim(number) for number in range(CLAIMS, 2 * CLAIMS)])
    assert loaded.spawn("claims", window="after_commit").wait(WAIT_SECONDS_MAX) == -signal.SIGKILL
    partition, first = loaded.first_outbox_row()
    loaded.connection.execute("DELETE FROM books.outbox WHERE partition = %s AND first_offset = %s", (partition, first))
    assert "the outbox ends at" in loaded.failure_of("claims")


def test_rule_10_two_live_processes_never_share_a_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "NAME_SECONDS_MAX", 0)
    first = Instance(world.settings, "claims", None)
    second = Instance(world.settings, "claims", None)
    assert (first.name, second.name) == ("claims-0", "claims-1")
    with pytest.raises(InstanceTaken, match="another process runs as claims-0"):
        Instance(world.settings, "claims", "claims-0")
    first.close()
    Instance(world.settings, "claims", "claims-0").close()
    second.close()


def test_rule_11_one_users_claims_on_two_partitions_grant_once(world: World) -> None:
    world.open_campaign()
    for partition in (0, 1):
        again = [
            envelope("voucher.claim", f"p{partition}-{n}", {"campaign_id": "grey", "user_id": f"user-{n:06d}"})
            for n in range(400)
        ]
        world.send("claim.commands", again, partition=partition)
    for instance in ("claims-0", "claims-1"):
        world.spawn("claims", instance=instance)
    outcomes = world.outcomes("claim", 800)
    granted = [event["data"]["user_id"] for event in outcomes if event["type"] == "voucher.granted"]
    assert len(granted) == len(set(granted)) == 400
    assert {event["data"].get("reason") for event in outcomes} == {None, "user_limit"}
    assert world.faults() == []


@pytest.mark.parametrize("quota", [1, 7, 100])
def test_rule_12_sold_out_only_when_pool_and_leases_are_empty(world: World, quota: int) -> None:
    world.open_campaign(quota=quota, budget_minor=quota * 2_500)
    world.send("claim.commands", [claim(number) for number in range(600)])
    for instance in ("claims-0", "claims-1"):
        world.spawn("claims", instance=instance, environment={"VOUCHER_LEDGER_BATCH_RECORDS_MAX": "20"})
    outcomes = world.outcomes("claim", 600)
    assert sum(event["type"] == "voucher.granted" for event in outcomes) == quota
    assert world.balances()["pool", "VOUCHER"] == world.balances().get(("lease", "VOUCHER"), 0) == 0
    assert world.faults() == []


def test_rule_13_a_movement_debits_the_shard_of_the_voucher(world: World) -> None:
    world.open_campaign(categories=["film"])
    world.send("claim.commands", [claim(1)], partition=2)
    world.spawn("claims")
    granted = world.outcomes("claim", 1)[0]["data"]
    order = {
        "order_id": "order-1", "user_id": granted["user_id"], "voucher_id": granted["voucher_id"],
        "merchant_id": "m", "category": "film", "amount_minor": 2_000,
    }  # fmt: skip
    world.send("order.commands", [envelope("order.reserve", "reserve-1", order)], partition=5)
    world.spawn("orders")
    assert world.outcomes("order", 1)[0]["type"] == "order.reserved"
    held = world.connection.execute("SELECT shard, vouchers FROM books.account WHERE role = 'held' AND vouchers > 0")
    assert held.fetchall() == [(2, 1)]
    assert world.faults() == []

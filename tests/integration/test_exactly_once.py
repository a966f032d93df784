"""Kill, pause and restart at every moment: no gap, no duplicate in any event topic, audit clean."""

import signal
from pathlib import Path

import psycopg
import pytest

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.proxies import CommitAnswerLost
from tests.integration.world import World
from voucher_ledger.dev import cluster

pytestmark = pytest.mark.integration

CLAIMS = 2_000
WINDOWS = ["before_commit", "after_commit", "in_transaction", "after_publish"]


@pytest.fixture
def loaded(world: World) -> World:
    """A campaign of 1,000 cards and the claims of 2,000 users waiting."""
    world.open_campaign()
    world.send("claim.commands", [claim(number) for number in range(CLAIMS)])
    return world


def test_claims_come_out_once_each_and_a_clean_stop_leaves_nothing(loaded: World) -> None:
    process = loaded.spawn("claims")
    outcomes = loaded.outcomes("claim", CLAIMS)
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_SECONDS_MAX) == 0
    assert sum(event["type"] == "voucher.granted" for event in outcomes) == 1_000
    assert {event["data"]["reason"] for event in outcomes if event["type"] == "voucher.rejected"} == {"sold_out"}
    assert loaded.faults() == []
    assert loaded.connection.execute("SELECT count(*) FROM books.outbox").fetchone() == (0,)


@pytest.mark.parametrize("window", WINDOWS)
def test_killed_in_a_window_and_taken_over_under_the_same_name(loaded: World, window: str) -> None:
    assert loaded.spawn("claims", instance="claims-0", window=window).wait(WAIT_SECONDS_MAX) == -signal.SIGKILL
    loaded.spawn("claims", instance="claims-0")
    loaded.outcomes("claim", CLAIMS)
    assert loaded.faults() == []


@pytest.mark.parametrize("window", WINDOWS)
def test_killed_in_a_window_and_taken_over_under_another_name(loaded: World, window: str) -> None:
    assert loaded.spawn("claims", instance="claims-0", window=window).wait(WAIT_SECONDS_MAX) == -signal.SIGKILL
    loaded.spawn("claims", instance="claims-1")
    loaded.outcomes("claim", CLAIMS)
    assert loaded.faults() == []


@pytest.mark.parametrize("window", WINDOWS)
def test_paused_in_a_window_and_back_after_its_partitions_moved(loaded: World, window: str) -> None:
    zombie = loaded.spawn("claims", instance="claims-0", window=window, signal="SIGSTOP")
    loaded.wait_stopped(zombie)
    loaded.spawn("claims", instance="claims-1")
    if window == "in_transaction":  # its offsets are pending: the successor waits until the zombie's transaction ends
        loaded.wait_epoch_above("claim.commands", 1)
    else:
        loaded.outcomes("claim", CLAIMS)
    zombie.send_signal(signal.SIGCONT)
    loaded.outcomes("claim", CLAIMS)
    loaded.send("claim.commands", [claim(number) for number in range(CLAIMS, CLAIMS + 500)])
    loaded.outcomes("claim", CLAIMS + 500)
    assert loaded.faults() == []


def test_two_instances_rebalance_under_load(loaded: World) -> None:
    loaded.spawn("claims", instance="claims-0")
    second = loaded.spawn("claims", instance="claims-1")
    loaded.wait_held_by("claim.commands", "claims-1")
    for round_ in range(1, 4):
        first_user = CLAIMS * round_
        loaded.send("claim.commands", [claim(number) for number in range(first_user, first_user + CLAIMS)])
        if round_ == 2:
            second.send_signal(signal.SIGTERM)
            assert second.wait(WAIT_SECONDS_MAX) == 0
            loaded.spawn("claims", instance="claims-2")
    outcomes = loaded.outcomes("claim", 4 * CLAIMS)
    assert sum(event["type"] == "voucher.granted" for event in outcomes) == 1_000
    assert loaded.faults() == []


@pytest.mark.parametrize("hard", [False, True])
def test_postgres_restarted(loaded: World, cluster_directory: Path, hard: bool) -> None:
    loaded.spawn("claims")
    loaded.outcomes("claim", 1)
    cluster.restart_postgres(cluster_directory, hard=hard)
    loaded.send("claim.commands", [claim(number) for number in range(CLAIMS, 2 * CLAIMS)])
    loaded.outcomes("claim", 2 * CLAIMS)
    loaded.reconnect()
    assert loaded.faults() == []


@pytest.mark.parametrize("hard", [False, True])
def test_broker_restarted(loaded: World, cluster_directory: Path, hard: bool) -> None:
    loaded.spawn("claims")
    loaded.outcomes("claim", 1)
    cluster.restart_kafka(cluster_directory, hard=hard)
    loaded.send("claim.commands", [claim(number) for number in range(CLAIMS, 2 * CLAIMS)])
    loaded.outcomes("claim", 2 * CLAIMS)
    assert loaded.faults() == []


@pytest.mark.parametrize("nth", [1, 2, 3], ids=["of the lease's draw", "of the first batch", "of the second batch"])
def test_the_answer_to_a_commit_is_lost(loaded: World, nth: int) -> None:
    address = psycopg.conninfo.conninfo_to_dict(loaded.settings.postgres)
    proxy = CommitAnswerLost((str(address["host"]), int(str(address["port"]))), nth)
    through = psycopg.conninfo.make_conninfo(loaded.settings.postgres, port=proxy.port)
    small = {"VOUCHER_LEDGER_BATCH_RECORDS_MAX": "500"}
    loaded.spawn("claims", environment={"VOUCHER_LEDGER_POSTGRES": through, **small})
    loaded.outcomes("claim", CLAIMS)
    assert proxy.lost.is_set()
    assert loaded.faults() == []
    proxy.close()


def test_brokers_that_are_away_end_no_session(loaded: World) -> None:
    """Of those that a producer begins with, most are down: it asks the next one, and nothing was on its way to them."""
    # Once its group has offsets, nothing has to be looked for in the topics, with a client for each partition.
    loaded.stop_cleanly(loaded.spawn("claims"), "claim", CLAIMS)
    loaded.send("claim.commands", [claim(number) for number in range(CLAIMS, 2 * CLAIMS)])
    away = ",".join(f"127.0.0.1:{port}" for port in range(1, 5))
    environment = {"VOUCHER_LEDGER_KAFKA": f"{away},{loaded.settings.kafka}", "VOUCHER_LEDGER_BATCH_RECORDS_MAX": "100"}
    loaded.stop_cleanly(loaded.spawn("claims", environment=environment), "claim", 2 * CLAIMS)
    epochs = loaded.connection.execute("SELECT max(epoch) FROM books.position WHERE topic = 'claim.commands'")
    assert epochs.fetchone() == (2,)
    assert loaded.faults() == []

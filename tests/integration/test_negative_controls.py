"""Negative controls: each guard taken out on purpose, in a scenario that is clean with it and shows a fault without.

`expected_offset` and `epoch` each cover for the other: a session raises the epoch before it decides, so whoever is
behind has an old epoch and an old offset, and either condition stops it; no scenario of whole processes tells one
missing. They are controlled directly (expect_a_fence), and taken out together (`fence`) they fail as a whole.

`duplicate_check` has the database behind it: without it, a claim sent again can't be granted twice (the unique key on
a user's vouchers refuses), but it is dead-lettered instead of answered alike.
"""

import signal
from collections.abc import Callable

import psycopg
import pytest

from tests.integration import guards
from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.proxies import TransactionEndHeld
from tests.integration.stalled_kafka import stalled_kafka
from tests.integration.test_protocol_rules import expect_a_fence
from tests.integration.waits import wait_decided, wait_ended, wait_outbox_empty
from tests.integration.world import World
from voucher_ledger.runtime import kafka, positions

pytestmark = pytest.mark.integration

CLAIMS = 600
SMALL_BATCHES = {"VOUCHER_LEDGER_BATCH_RECORDS_MAX": "100"}
# A zombie that is stopped in a transaction must be able to end it when it wakes.
LONG_TRANSACTIONS = {"VOUCHER_LEDGER_TRANSACTION_TIMEOUT_MS": "120000"}


@pytest.fixture
def nothing_comes(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Said where a guard is out and its events never come: the proof by the seals does not wait a minute for them."""

    def no_wait() -> None:
        monkeypatch.setattr("voucher_ledger.replay.seals.verify.PUBLISHED_SECONDS_MAX", 0.0)

    return no_wait


@pytest.fixture
def loaded(world: World) -> World:
    """A campaign of 1,000 cards for two claims a user, and the claims of 600 users waiting."""
    world.open_campaign(per_user_limit=2)
    world.send("claim.commands", [claim(number) for number in range(CLAIMS)])
    return world


@pytest.mark.parametrize("guard", ["", "fence"], ids=["with", "without"])
def test_fence(loaded: World, nothing_comes: Callable[[], None], guard: str) -> None:
    """A zombie with a batch in hand wakes after its partitions were decided by another."""
    zombie = loaded.spawn(
        "claims", instance="claims-0", window="before_decide", signal="SIGSTOP", guard=guard, environment=SMALL_BATCHES
    )
    loaded.wait_stopped(zombie)
    successor = loaded.spawn("claims", instance="claims-1", environment=SMALL_BATCHES)
    loaded.outcomes("claim", CLAIMS)
    wait_outbox_empty(loaded)  # or the key of a row that is still there would stand in for the fence
    zombie.send_signal(signal.SIGCONT)
    if not guard:
        loaded.send("claim.commands", [claim(number) for number in range(CLAIMS, CLAIMS + 100)])
        loaded.wait_answered("claim.commands", CLAIMS + 100)
        assert loaded.faults() == []
        return
    # The zombie has moved positions back behind what is published: whoever takes the partitions over stops loudly.
    wait_ended(successor)
    wait_ended(zombie)
    loaded.send("claim.commands", [claim(CLAIMS)])
    nothing_comes()
    assert any("not answered" in fault for fault in loaded.faults())


@pytest.mark.parametrize("guard", ["fence", "epoch", "expected_offset"])
def test_each_condition_of_the_fence(world: World, monkeypatch: pytest.MonkeyPatch, guard: str) -> None:
    monkeypatch.setattr(positions, "_ADVANCE", positions._ADVANCE)  # put back when the test ends
    guards.GUARDS[guard]()
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        expect_a_fence(world)


@pytest.mark.parametrize("guard", ["", "republish"], ids=["with", "without"])
def test_republish(loaded: World, nothing_comes: Callable[[], None], guard: str) -> None:
    """A processor dies between COMMIT and publishing."""
    killed = loaded.spawn("claims", instance="claims-0", window="after_commit", environment=SMALL_BATCHES)
    assert killed.wait(WAIT_SECONDS_MAX) == -signal.SIGKILL
    successor = loaded.spawn("claims", instance="claims-0", guard=guard)
    wait_decided(loaded, "claim.commands", CLAIMS)
    successor.terminate()  # it publishes what it has before it ends
    assert successor.wait(WAIT_SECONDS_MAX) == 0
    if guard:
        nothing_comes()
    lost = [fault for fault in loaded.faults() if "not answered" in fault]
    assert (lost == []) == (not guard)


@pytest.mark.parametrize("guard", ["", "duplicate_check"], ids=["with", "without"])
def test_duplicate_check(loaded: World, guard: str) -> None:
    """Claims sent again, in a later batch."""
    loaded.spawn("claims", guard=guard)
    first = loaded.outcomes("claim", CLAIMS)
    loaded.send("claim.commands", [claim(number) for number in range(10)])
    loaded.wait_answered("claim.commands", CLAIMS + 10)
    granted = {event["data"]["command_id"]: event["data"]["voucher_id"] for event in first}
    again = [event["data"] for event in loaded.outcomes("claim") if event["data"].get("duplicate")]
    same = [data for data in again if data["voucher_id"] == granted[data["command_id"]]]
    assert len(same) == (10 if not guard else 0)
    assert loaded.connection.execute("SELECT count(*) FROM books.voucher").fetchone() == (CLAIMS,)


@pytest.mark.parametrize("guard", ["", "stable_offsets"], ids=["with", "without"])
def test_stable_offsets(loaded: World, guard: str) -> None:
    """A zombie is stopped in its transaction, its offsets pending, and ends it after its partitions moved."""
    # Where nothing was ever committed there is no old offset to mistake for the truth (rule 8 is the guard there).
    loaded.stop_cleanly(loaded.spawn("claims"), "claim", CLAIMS)
    loaded.send("claim.commands", [claim(number) for number in range(CLAIMS, 2 * CLAIMS)])
    zombie = loaded.spawn(
        "claims", instance="claims-0", window="in_transaction", signal="SIGSTOP", environment=LONG_TRANSACTIONS
    )
    loaded.wait_stopped(zombie)
    loaded.spawn("claims", instance="claims-1", guard=guard)
    loaded.wait_epoch_above("claim.commands", 2)
    if guard:
        wait_outbox_empty(loaded)  # the successor has taken the old offsets for the truth and published all again
    zombie.send_signal(signal.SIGCONT)
    loaded.wait_answered("claim.commands", 2 * CLAIMS + bool(guard))
    twice = [fault for fault in loaded.faults() if "answered 2 times" in fault]
    assert (twice == []) == (not guard)


@pytest.mark.parametrize("guard", ["", "prune_after_publish"], ids=["with", "without"])
def test_prune_after_publish(loaded: World, guard: str) -> None:
    """A processor dies while its transaction is not ended, and everything else is decided."""
    with stalled_kafka(loaded) as (proxy, environment):
        killed = loaded.spawn("claims", instance="claims-0", guard=guard, environment=environment)
        assert proxy.held.wait(WAIT_SECONDS_MAX)
        wait_decided(loaded, "claim.commands", CLAIMS)
        if guard:
            wait_outbox_empty(loaded)
        killed.kill()
        killed.wait()
    successor = loaded.spawn("claims", instance="claims-0")
    if not guard:
        loaded.wait_answered("claim.commands", CLAIMS)
        assert loaded.faults() == []
        return
    # It finds neither committed offsets nor rows, and takes all for published.
    loaded.wait_epoch_above("claim.commands", 1)
    successor.terminate()
    assert successor.wait(WAIT_SECONDS_MAX) == 0
    assert any("not answered" in fault for fault in loaded.faults())


@pytest.mark.parametrize("guard", ["", "producer_errors"], ids=["with", "without"])
def test_producer_errors(loaded: World, guard: str) -> None:
    """The end of a transaction is sent again, and its first sending arrives in the midst of the next (rule 3)."""
    # Of a partition that was never committed the events themselves tell what is published: none would come twice.
    loaded.stop_cleanly(loaded.spawn("claims"), "claim", CLAIMS)
    loaded.send("claim.commands", [claim(number) for number in range(CLAIMS, 2 * CLAIMS)])
    host, port = loaded.settings.kafka.split(":")
    proxy = TransactionEndHeld((host, int(port)), nth=1)
    through = {"VOUCHER_LEDGER_KAFKA": f"127.0.0.1:{proxy.port}", **SMALL_BATCHES}
    killed = loaded.spawn("claims", instance="claims-0", guard=guard, fault="stops_between", environment=through)
    assert proxy.held.wait(WAIT_SECONDS_MAX)
    loaded.wait_stopped(killed)
    proxy.release.set()
    assert proxy.answered.wait(WAIT_SECONDS_MAX)
    assert (proxy.error_code == 0) == bool(guard), f"the broker answered the first sending with {proxy.error_code}"
    killed.kill()
    killed.wait()
    proxy.close()
    loaded.spawn("claims", instance="claims-0")
    loaded.wait_answered("claim.commands", 2 * CLAIMS)
    twice = [fault for fault in loaded.faults() if "answered 2 times" in fault]
    assert (twice == []) == (not guard)


@pytest.mark.parametrize("isolation", ["read_committed", "read_uncommitted"])
def test_read_committed_readers(loaded: World, monkeypatch: pytest.MonkeyPatch, isolation: str) -> None:
    """A processor dies with its records on the broker and its transaction not ended; the successor publishes again."""
    with stalled_kafka(loaded) as (proxy, environment):
        killed = loaded.spawn("claims", instance="claims-0", environment=environment)
        assert proxy.held.wait(WAIT_SECONDS_MAX)
        killed.kill()
        killed.wait()
    loaded.spawn("claims", instance="claims-0")
    loaded.wait_answered("claim.commands", CLAIMS)
    whole = kafka.consumer_config
    monkeypatch.setattr(
        kafka, "consumer_config", lambda *args, **overrides: {**whole(*args, **overrides), "isolation.level": isolation}
    )
    twice = [fault for fault in loaded.faults() if "answered 2 times" in fault]
    assert (twice == []) == (isolation == "read_committed")


def test_a_ledger_that_loses_rows_is_found(loaded: World) -> None:
    """The audit is a part of every check above: it too must be able to fail."""
    loaded.stop_cleanly(loaded.spawn("claims"), "claim", CLAIMS)
    assert loaded.faults() == []
    with psycopg.connect(loaded.settings.postgres, autocommit=True) as connection:
        connection.execute("DELETE FROM books.voucher WHERE user_id = 'user-000001'")
    assert any(fault.startswith("audit: ") for fault in loaded.faults())

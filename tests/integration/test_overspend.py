"""A campaign that honours overspending, claimed past its quota by two processes at once, on the real servers."""

import pytest

from tests.integration.commands import FACE_MINOR, claim, expire
from tests.integration.waits import wait_vouchers_due
from tests.integration.world import World
from voucher_ledger.runtime.postgres import connect

pytestmark = pytest.mark.integration

CARDS = 200
# So small that both processes have many batches in hand, and meet in the books.
SMALL_BATCHES = {"VOUCHER_LEDGER_BATCH_RECORDS_MAX": "20"}


def loss(world: World) -> tuple[int, int]:
    """What was granted past quota and budget, in both units, as a reader of the ledger sees it."""
    balances = world.balances()
    return (-balances["loss", "VOUCHER"], -balances["loss", "CNY"])


def test_three_times_the_quota_is_granted_and_what_is_past_it_is_loss_to_the_last_unit(world: World) -> None:
    rest_minor = FACE_MINOR - 1
    world.open_campaign(quota=CARDS, budget_minor=CARDS * FACE_MINOR + rest_minor, overspend="honour")
    for instance in ("claims-0", "claims-1"):
        world.spawn("claims", instance=instance, environment=SMALL_BATCHES)
    for instance in ("claims-0", "claims-1"):
        world.wait_held_by("claim.commands", instance)
    world.send("claim.commands", [claim(number) for number in range(3 * CARDS)])
    outcomes = world.outcomes("claim", 3 * CARDS)
    assert {event["type"] for event in outcomes} == {"voucher.granted"}
    assert loss(world) == (2 * CARDS, 2 * CARDS * FACE_MINOR)
    balances = world.balances()
    assert (balances["granted", "VOUCHER"], balances["granted", "CNY"]) == (3 * CARDS, 3 * CARDS * FACE_MINOR)
    assert balances["pool", "VOUCHER"] + balances["lease", "VOUCHER"] == 0
    assert balances["pool", "CNY"] + balances["lease", "CNY"] == rest_minor
    shards = world.connection.execute("SELECT shard FROM books.account WHERE role = 'loss' AND vouchers < 0").fetchall()
    decided = world.connection.execute(
        "SELECT count(DISTINCT instance) FROM books.position WHERE topic = 'claim.commands' AND decided > 0"
    ).fetchone()
    assert (len(shards) > 1, decided) == (True, (2,))
    assert world.faults() == []


def test_what_comes_back_is_granted_again_before_more_is_lost(world: World) -> None:
    world.open_campaign(quota=1, budget_minor=FACE_MINOR, overspend="honour", voucher_ttl_s=1)
    world.send("claim.commands", [claim(1), claim(2)], partition=0)
    world.spawn("claims")
    first = [event["data"] for event in world.outcomes("claim", 2)]
    assert loss(world) == (1, FACE_MINOR)
    wait_vouchers_due(world)
    world.send("claim.commands", [expire(voucher) for voucher in first], partition=0)
    world.outcomes("claim", 4)
    assert (world.balances()["pool", "VOUCHER"], loss(world)) == (2, (1, FACE_MINOR))
    world.send("claim.commands", [claim(3), claim(4), claim(5)], partition=0)
    assert [event["type"] for event in world.outcomes("claim", 7)].count("voucher.granted") == 5
    assert loss(world) == (2, 2 * FACE_MINOR)
    assert world.faults() == []


def test_readers_see_which_campaigns_honour_overspending(world: World) -> None:
    world.open_campaign("within")
    world.open_campaign("past", overspend="honour")
    with connect(world.settings.postgres, application="test", role="voucher_ledger_reader") as reader:
        found = reader.execute("SELECT overspend FROM ledger.campaign ORDER BY campaign_id").fetchall()
        assert found == [("honour",), ("forbid",)]

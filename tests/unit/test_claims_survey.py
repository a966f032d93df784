"""What a batch asks for: counted by campaign, with the claim that leads a draw, and whose rows it touches."""

from dataclasses import replace
from typing import Any

from tests.unit.given import HOUR_MS, NOW_MS, campaign
from voucher_ledger.claims.state import Queue
from voucher_ledger.claims.survey import grantable, of_campaigns, survey
from voucher_ledger.core.records import Command


def command(type_: str, campaign_id: str, user_id: str, partition: int, time_ms: int = NOW_MS, **more: Any) -> Command:
    data = {"campaign_id": campaign_id, "user_id": user_id, **more}
    return Command(f"voucher.{type_}", f"{user_id}-{partition}", data, partition, 7, time_ms)


BATCH = [
    command("claim", "spring", "u-1", 5),
    command("claim", "spring", "u-2", 3),
    command("admit", "spring", "u-3", 3, claim_id="c-3"),
    command("claim", "autumn", "u-1", 4),
    command("expire", "spring", "u-4", 1, voucher_id="v-4"),
    command("expire", "winter", "u-5", 1, voucher_id="v-5"),
    command("claim", "spring", "u-2", 6, NOW_MS - 2 * HOUR_MS),
]


def test_claims_and_admissions_are_counted_and_the_first_of_the_lowest_partition_leads() -> None:
    found = survey(BATCH)
    assert found.wanted == {"spring": 4, "autumn": 1}
    assert found.leads == {"spring": BATCH[1], "autumn": BATCH[3]}
    assert found.owners == {(one.data["campaign_id"], one.data["user_id"]) for one in BATCH}
    assert found.expiries == [BATCH[4], BATCH[5]]
    assert found.expiring() == {"spring", "winter"}


def test_nothing_asked_is_nothing_found() -> None:
    found = survey([])
    assert (found.wanted, found.leads, found.owners, found.expiries) == ({}, {}, set(), [])


def test_claims_and_admissions_are_told_apart_by_campaign_in_one_pass() -> None:
    own = of_campaigns(BATCH, ["spring", "winter"])
    assert own == {"spring": [*BATCH[:3], BATCH[6]], "winter": []}
    assert of_campaigns(BATCH, []) == {}


def test_a_draw_is_for_what_state_and_hours_let_through() -> None:
    rules = campaign()  # begins an hour ago
    own = of_campaigns(BATCH, ["spring"])["spring"]
    assert grantable(rules, None, own) == 3
    assert grantable(replace(rules, state="paused"), None, own) == 0
    # One waits and one is admitted: the claims after it may come to the lease. Two wait: they go behind them.
    assert grantable(rules, Queue(waiting=1), own) == 3
    assert grantable(rules, Queue(waiting=2), own) == 1

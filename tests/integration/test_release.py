"""Paced release on the real broker and Postgres, by two processes at once."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.integration.commands import FACE_MINOR, claim, envelope
from tests.integration.world import World
from voucher_ledger.monitor.forecast import Tranche
from voucher_ledger.monitor.ledger import LedgerReader

pytestmark = pytest.mark.integration

PARTITIONS = 8


def test_cards_of_a_tranche_to_come_are_not_given_away(world: World) -> None:
    """50,000 cards for six hours were gone in eight minutes: they were all released at once."""
    now = datetime.now(UTC)
    later = (now + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    release = [{"at": later, "quota": 30}, {"at": "2020-01-01T00:00:00Z", "quota": 10}]
    world.open_campaign(quota=40, budget_minor=50 * FACE_MINOR, release=release)
    for number in range(2):
        world.spawn("claims", instance=f"claims-{number}", environment={"VOUCHER_LEDGER_BATCH_RECORDS_MAX": "7"})
    first = answers(world, range(80))
    assert first.count(None) == 10
    assert set(first) == {None, ("not_released", f"{later[:-1]}.000Z")}
    assert shown(world) == (30, 0, Tranche(int(now.timestamp()) + 3_600, 30))

    top_up = {"campaign_id": "grey", "quota": 3, "budget_minor": 0, "approved_by": "finance", "reason": "gone"}
    world.send("campaign.commands", [envelope("campaign.top_up", "top-1", top_up)])
    world.spawn("campaigns", instance="campaigns-1")
    world.outcomes("campaign", 2)
    assert answers(world, range(80, 160)).count(None) == 3
    assert world.faults() == []


def shown(world: World) -> tuple[int, int, Tranche]:
    """As the monitor reads the campaign: cards left, those that can be claimed now, and the next tranche."""
    reader = LedgerReader(world.settings)
    try:
        reading = reader.read()
    finally:
        reader.close()
    facts = reading.campaigns["grey"]
    supply = facts.supply(int(reading.read_at))
    return facts.cards_left, supply.claimable, supply.coming[0]


def answers(world: World, users: range) -> list[tuple[str, str] | None]:
    """What the claims of these users got, sent to all partitions in turn: None for a card, else reason and time."""
    seen = {event["id"] for event in world.outcomes("claim")}
    for partition in range(PARTITIONS):
        world.send("claim.commands", [claim(number) for number in users[partition::PARTITIONS]], partition=partition)
    events = [event for event in world.outcomes("claim", len(seen) + len(users)) if event["id"] not in seen]
    return [
        (event["data"]["reason"], event["data"].get("next_release_at", "")) if "reason" in event["data"] else None
        for event in events
    ]

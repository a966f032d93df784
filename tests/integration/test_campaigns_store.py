"""Campaign commands on a real Postgres, where the same campaign comes through two partitions at once."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from voucher_ledger.campaigns.state import Campaigns
from voucher_ledger.campaigns.store import CampaignsRoom
from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger import accounts
from voucher_ledger.ledger.errors import Contended
from voucher_ledger.ledger.model import Role
from voucher_ledger.runtime.postgres import connect

pytestmark = pytest.mark.integration

OPEN: dict[str, Any] = {
    "campaign_id": "grey",
    "name": "Grey\\release",
    "currency": "CNY",
    "quota": 10,
    "budget_minor": 10**15,
    "voucher": {"kind": "percent_off", "face_value_minor": 2_500, "percent_bp": 5_000},
    "starts_at": "2026-02-06T00:00:00Z",
    "ends_at": "2026-02-06T06:00:00.5Z",
    "voucher_ttl_s": 10,
    "hold_ttl_s": 5,
    "categories": ["hotel", "tea"],
    "category_budgets_minor": {"tea": 7, "hotel": 5},
}
TOP_UP = {"campaign_id": "grey", "quota": 2, "budget_minor": 0, "approved_by": "finance", "reason": "gone"}
CHANGE = {"campaign_id": "grey", "approved_by": "ops", "reason": "fault"}


class Processor:
    """One instance of the room on a connection of its own."""

    def __init__(self, dsn: str, partition: int) -> None:
        self.connection = connect(dsn, application="test", role="voucher_ledger_writer", batch=True)
        self.partition = partition
        self.offset = 0
        self.room = CampaignsRoom()

    def begin(self, *given: tuple[str, str, dict[str, Any]], lock: bool = False) -> tuple[Campaigns, list[Event]]:
        """Load and decide, and write nothing yet."""
        commands = [
            Command(type_, command_id, data, self.partition, self.offset + place, 1_770_336_000_000)
            for place, (type_, command_id, data) in enumerate(given)
        ]
        self.offset += len(commands)
        state = self.room.prepare(self.connection, commands, lock=False)
        self.room.load(self.connection, state, commands, lock=lock)
        events = []
        for command in commands:
            event = self.room.decide(state, command)
            self.room.evolve(state, command, event)
            events.append(event)
        return state, events

    def decide(self, *given: tuple[str, str, dict[str, Any]], lock: bool = False) -> list[Event]:
        """A whole batch."""
        with self.connection.transaction():
            state, events = self.begin(*given, lock=lock)
            self.room.write(self.connection, state)
        return events


@pytest.fixture
def processors(database: str) -> Iterator[tuple[Processor, Processor]]:
    made = (Processor(database, 0), Processor(database, 1))
    yield made
    for processor in made:
        processor.connection.close()


def row(processor: Processor, columns: str) -> tuple[Any, ...]:
    found = processor.connection.execute(f"SELECT {columns} FROM books.campaign WHERE campaign_id = 'grey'").fetchone()
    assert found is not None
    return found


def test_a_campaign_and_commands_on_it_in_one_batch(processors: tuple[Processor, Processor]) -> None:
    first, second = processors
    events = first.decide(
        ("campaign.open", "open-1", OPEN), ("campaign.top_up", "top-1", TOP_UP), ("campaign.pause", "pause-1", CHANGE)
    )
    assert [event.type for event in events] == ["campaign.opened", "campaign.topped_up", "campaign.paused"]
    columns = "name, state::text, quota, budget_minor, percent_bp, ends_at_ms, per_user_limit, categories"
    assert row(second, columns) == (
        "Grey\\release", "paused", 12, 10**15, 5_000, 1_770_357_600_500, 1, ["hotel", "tea"],
    )  # fmt: skip
    budgets = second.connection.execute(
        "SELECT category, budget_minor FROM books.category_budget ORDER BY 1"
    ).fetchall()
    assert budgets == [("hotel", 5), ("tea", 7)]
    again = second.decide(("campaign.open", "open-1", OPEN), ("campaign.pause", "pause-1", CHANGE), lock=True)
    assert again == [Event(event.type, {**event.data, "duplicate": True}) for event in (events[0], events[2])]


def test_the_same_campaign_opened_twice_at_once_is_opened_once(processors: tuple[Processor, Processor]) -> None:
    first, second = processors
    state, _ = second.begin(("campaign.open", "open-2", OPEN))
    first.decide(("campaign.open", "open-1", OPEN))
    with pytest.raises(psycopg.errors.UniqueViolation), second.connection.transaction():
        second.room.write(second.connection, state)
    (event,) = second.decide(("campaign.open", "open-2", OPEN), lock=True)
    assert (event.type, event.data["reason"]) == ("campaign.rejected", "conflict")


def test_the_same_top_up_twice_at_once_is_added_once(processors: tuple[Processor, Processor]) -> None:
    first, second = processors
    first.decide(("campaign.open", "open-1", OPEN))
    state, _ = second.begin(("campaign.top_up", "top-1", TOP_UP))
    first.decide(("campaign.top_up", "top-1", TOP_UP))
    with pytest.raises(psycopg.errors.UniqueViolation), second.connection.transaction():
        second.room.write(second.connection, state)
    (event,) = second.decide(("campaign.top_up", "top-1", TOP_UP), lock=True)
    assert event.data["duplicate"] is True
    assert row(first, "quota") == (12,)


def test_two_top_ups_at_once_are_both_added(processors: tuple[Processor, Processor]) -> None:
    first, second = processors
    first.decide(("campaign.open", "open-1", OPEN))
    state, _ = second.begin(("campaign.top_up", "top-2", TOP_UP))
    first.decide(("campaign.top_up", "top-1", TOP_UP))
    with second.connection.transaction():
        second.room.write(second.connection, state)
    assert row(first, "quota") == (14,)


def test_a_campaign_closed_meanwhile_is_decided_again(processors: tuple[Processor, Processor]) -> None:
    first, second = processors
    first.decide(("campaign.open", "open-1", OPEN))
    state, _ = second.begin(("campaign.pause", "pause-1", CHANGE))
    first.decide(("campaign.close", "close-1", CHANGE))
    with pytest.raises(Contended), second.connection.transaction():
        second.room.write(second.connection, state)
    (event,) = second.decide(("campaign.pause", "pause-1", CHANGE), lock=True)
    assert event.data["reason"] == "ended"
    assert row(first, "state::text") == ("closed",)


def test_a_lease_is_made_while_the_campaign_is_locked(processors: tuple[Processor, Processor]) -> None:
    """A new account refers to the campaign: were the row locked FOR UPDATE, claims would wait for campaigns."""
    first, second = processors
    first.decide(("campaign.open", "open-1", OPEN))
    second.connection.execute("SET lock_timeout = '2s'")
    with first.connection.transaction():
        state, _ = first.begin(("campaign.top_up", "top-1", TOP_UP), lock=True)
        first.room.write(first.connection, state)
        accounts.ensure(second.connection, [("grey", Role.LEASE, 3)])
    assert row(second, "quota") == (12,)

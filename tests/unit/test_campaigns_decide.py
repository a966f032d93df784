"""Campaign commands: given the campaigns, when a command comes, then this event and these movements."""

from typing import Any

import jsonschema_rs
import pytest

from voucher_ledger.campaigns.decide import BUDGET_MINOR_MAX, QUOTA_MAX, decide
from voucher_ledger.campaigns.evolve import evolve
from voucher_ledger.campaigns.state import Campaigns
from voucher_ledger.core.records import Command, Event
from voucher_ledger.core.validation_schema import load_schema
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.ledger.model import Role, RoleName

OPEN = {
    "campaign_id": "grey",
    "name": "Grey release",
    "currency": "CNY",
    "quota": 50_000,
    "budget_minor": 125_000_000,
    "voucher": {"kind": "free_order", "face_value_minor": 2_500},
    "starts_at": "2026-02-06T00:00:00Z",
    "ends_at": "2026-02-06T06:00:00Z",
    "voucher_ttl_s": 604_800,
    "hold_ttl_s": 900,
}
TOP_UP = {
    "campaign_id": "grey",
    "quota": 10_000,
    "budget_minor": 25_000_000,
    "approved_by": "finance@shop",
    "reason": "gone in eight minutes",
}
CHANGE = {"campaign_id": "grey", "approved_by": "ops@shop", "reason": "a fault in the app"}


class Room:
    """Decides commands one after the other, as a batch does, and remembers what was answered."""

    def __init__(self) -> None:
        self.state = Campaigns(Journal("campaign.commands"))
        self.offset = 0

    def when(self, type_: str, data: dict[str, Any], command_id: str | None = None) -> Event:
        command = Command(type_, command_id or f"c-{self.offset}", data, 0, self.offset, 1_770_336_000_000)
        self.offset += 1
        event = decide(self.state, command)
        evolve(self.state, command, event)
        schema = load_schema("events", event.type)["properties"]["data"]
        jsonschema_rs.Draft202012Validator(schema).validate(event.data)
        return event

    @property
    def balances(self) -> dict[RoleName, tuple[int, int]]:
        deltas = self.state.journal.deltas()
        assert sum(vouchers for vouchers, _ in deltas.values()) == 0
        assert sum(amount_minor for _, amount_minor in deltas.values()) == 0
        return {role: delta for (_, role, _), delta in deltas.items()}


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def opened(room: Room) -> Room:
    room.when("campaign.open", OPEN, "open-1")
    return room


def test_open_funds_the_pool(room: Room) -> None:
    event = room.when("campaign.open", OPEN, "open-1")
    assert event.type == "campaign.opened"
    assert event.data == {
        "campaign_id": "grey",
        "quota": 50_000,
        "budget_minor": 125_000_000,
        "command_id": "open-1",
    }
    assert room.balances == {Role.FUNDING: (-50_000, -125_000_000), Role.POOL: (50_000, 125_000_000)}


def test_open_of_nothing_moves_nothing(room: Room) -> None:
    event = room.when("campaign.open", {**OPEN, "quota": 0, "budget_minor": 0})
    assert event.type == "campaign.opened"
    assert room.state.journal.rows == []


def test_open_again_is_the_same_outcome(opened: Room) -> None:
    event = opened.when("campaign.open", dict(OPEN), "open-1")
    assert event.type == "campaign.opened"
    assert event.data["duplicate"] is True
    assert event.data["quota"] == 50_000
    assert opened.balances[Role.POOL] == (50_000, 125_000_000)


def test_open_again_after_a_top_up_answers_what_was_opened(opened: Room) -> None:
    opened.when("campaign.top_up", TOP_UP)
    assert opened.when("campaign.open", OPEN, "open-1").data["quota"] == 50_000


@pytest.mark.parametrize(
    ("data", "command_id"),
    [({**OPEN, "quota": 50_001}, "open-1"), (OPEN, "open-2"), ({**OPEN, "name": "another"}, "open-2")],
)
def test_open_with_other_content_or_by_another_command_is_a_conflict(
    opened: Room, data: dict[str, Any], command_id: str
) -> None:
    event = opened.when("campaign.open", data, command_id)
    assert (event.type, event.data["reason"]) == ("campaign.rejected", "conflict")
    assert opened.balances[Role.POOL] == (50_000, 125_000_000)


def test_the_same_id_with_another_type_is_a_conflict(opened: Room) -> None:
    opened.when("campaign.pause", CHANGE, "change-1")
    event = opened.when("campaign.resume", CHANGE, "change-1")
    assert (event.type, event.data["reason"]) == ("campaign.rejected", "conflict")
    assert "campaign.pause" in event.data["detail"]
    assert opened.state.campaigns["grey"].state == "paused"


@pytest.mark.parametrize(
    "asked",
    [
        {"release": [{"at": "2026-02-06T00:00:00Z", "quota": 50_000}, {"at": "2026-02-06T01:00:00Z", "quota": 1}]},
        {"release": [{"at": "2026-02-06T06:00:00Z", "quota": 1}]},
    ],
)
def test_what_claims_would_not_honour_is_refused_clearly(room: Room, asked: dict[str, Any]) -> None:
    event = room.when("campaign.open", {**OPEN, **asked})
    assert (event.type, event.data["reason"]) == ("campaign.rejected", "conflict")
    assert next(iter(asked)) in event.data["detail"]
    assert not room.state.campaigns


def test_defaults_spelled_out_are_accepted(room: Room) -> None:
    assert room.when("campaign.open", {**OPEN, "when_empty": "reject", "overspend": "forbid"}).type == "campaign.opened"


def test_a_campaign_that_honours_overspending_is_funded_as_any_other(room: Room) -> None:
    event = room.when("campaign.open", {**OPEN, "overspend": "honour"}, "open-1")
    assert event.type == "campaign.opened"
    assert room.balances == {Role.FUNDING: (-50_000, -125_000_000), Role.POOL: (50_000, 125_000_000)}
    assert room.when("campaign.open", OPEN, "open-1").data["reason"] == "conflict"


def test_a_refusal_is_not_remembered(room: Room) -> None:
    too_late = {"release": [{"at": "2026-02-06T06:00:00Z", "quota": 1}]}
    assert room.when("campaign.open", {**OPEN, **too_late}, "open-1").type == "campaign.rejected"
    event = room.when("campaign.open", OPEN, "open-1")
    assert event.type == "campaign.opened"
    assert "duplicate" not in event.data


def test_top_up_raises_quota_and_budget_on_the_record(opened: Room) -> None:
    event = opened.when("campaign.top_up", TOP_UP, "top-1")
    assert event.type == "campaign.topped_up"
    assert event.data == {**TOP_UP, "command_id": "top-1"}
    campaign = opened.state.campaigns["grey"]
    assert (campaign.quota, campaign.budget_minor) == (60_000, 150_000_000)
    assert opened.balances[Role.POOL] == (60_000, 150_000_000)
    assert opened.state.journal.rows[-1].endswith("\tgone in eight minutes\tfinance@shop\n")


def test_top_up_again_adds_nothing(opened: Room) -> None:
    first = opened.when("campaign.top_up", TOP_UP, "top-1")
    second = opened.when("campaign.top_up", TOP_UP, "top-1")
    assert second == Event(first.type, {**first.data, "duplicate": True})
    assert opened.balances[Role.POOL] == (60_000, 150_000_000)
    assert opened.when("campaign.top_up", {**TOP_UP, "quota": 1}, "top-1").data["reason"] == "conflict"


@pytest.mark.parametrize("field", ["quota", "budget_minor"])
def test_top_up_past_what_a_campaign_may_hold_is_refused(opened: Room, field: str) -> None:
    most = QUOTA_MAX if field == "quota" else BUDGET_MINOR_MAX
    event = opened.when("campaign.top_up", {**TOP_UP, field: most})
    assert (event.type, event.data["reason"]) == ("campaign.rejected", "conflict")
    assert opened.when("campaign.top_up", {**TOP_UP, field: most - OPEN[field]}).type == "campaign.topped_up"  # type: ignore[operator]


@pytest.mark.parametrize(
    ("type_", "outcome", "state"),
    [
        ("campaign.pause", "campaign.paused", "paused"),
        ("campaign.resume", "campaign.resumed", "open"),
        ("campaign.close", "campaign.closed", "closed"),
    ],
)
def test_change_of_state(opened: Room, type_: str, outcome: str, state: str) -> None:
    event = opened.when(type_, CHANGE, "change-1")
    assert event == Event(outcome, {**CHANGE, "command_id": "change-1"})
    assert opened.state.campaigns["grey"].state == state
    again = opened.when(type_, CHANGE, "change-1")
    assert again == Event(outcome, {**event.data, "duplicate": True})


def test_pause_when_paused_is_paused_again(opened: Room) -> None:
    opened.when("campaign.pause", CHANGE)
    event = opened.when("campaign.pause", CHANGE)
    assert event.type == "campaign.paused"
    assert "duplicate" not in event.data


def test_a_duplicate_of_an_old_pause_does_not_pause_again(opened: Room) -> None:
    opened.when("campaign.pause", CHANGE, "change-1")
    opened.when("campaign.resume", CHANGE, "change-2")
    assert opened.when("campaign.pause", CHANGE, "change-1").data["duplicate"] is True
    assert opened.state.campaigns["grey"].state == "open"


CHANGES = ["campaign.top_up", "campaign.pause", "campaign.resume", "campaign.close"]


@pytest.mark.parametrize("type_", CHANGES)
def test_of_an_unknown_campaign(room: Room, type_: str) -> None:
    event = room.when(type_, TOP_UP if type_ == "campaign.top_up" else CHANGE, "change-1")
    assert (event.type, event.data["reason"]) == ("campaign.rejected", "unknown_campaign")
    assert event.data["command_id"] == "change-1"
    assert event.data["approved_by"]


@pytest.mark.parametrize("type_", CHANGES)
def test_of_a_closed_campaign(opened: Room, type_: str) -> None:
    opened.when("campaign.close", CHANGE)
    event = opened.when(type_, TOP_UP if type_ == "campaign.top_up" else CHANGE)
    assert (event.type, event.data["reason"]) == ("campaign.rejected", "ended")


def test_a_duplicate_is_answered_even_when_the_campaign_is_closed(opened: Room) -> None:
    opened.when("campaign.top_up", TOP_UP, "top-1")
    opened.when("campaign.close", CHANGE)
    event = opened.when("campaign.top_up", TOP_UP, "top-1")
    assert (event.type, event.data["duplicate"]) == ("campaign.topped_up", True)

"""Limits and the waiting room: what bounds a claim bounds the turn of who waits by it."""

from typing import Any

import pytest

from tests.unit.given import NOW_MS, PARTITION, campaign
from tests.unit.test_claims_decide import EMPTY, claim, when
from tests.unit.test_claims_waiting import SOME, admit, place, waiting
from voucher_ledger.claims.decide import decide
from voucher_ledger.claims.evolve import evolve
from voucher_ledger.claims.state import Claims
from voucher_ledger.ledger.model import LimitKey, Limits

SHARED: LimitKey = ("device", "spring", "d-1")


def limited(*places: Any, lease: Any = SOME, **limits: Any) -> Claims:
    return waiting(*places, rules=campaign(when_empty="queue", limits=Limits(**limits)), lease=lease)


def test_the_turn_of_who_waits_counts_for_the_device_and_the_channel_of_the_claim() -> None:
    state = limited(place(1, 7, device_id="d-1"), per_device=1, channel_quotas={"app": 9})
    event = when(state, admit(1))
    assert (event.type, event.data["device_id"], event.data["channel"]) == ("voucher.granted", "d-1", "app")
    assert state.limit_added == {SHARED: 1, ("channel", "spring", "app"): 1}
    assert [voucher.device_id for voucher in state.granted] == ["d-1"]
    again = when(state, admit(1, 51))
    assert again.data == {**event.data, "duplicate": True}


@pytest.mark.parametrize(
    ("limits", "detail"),
    [({"per_device": 1}, "device"), ({"channel_quotas": {"app": 1}}, "channel app: 1")],
)
def test_who_waits_for_what_others_had_of_his_device_or_channel_makes_room_for_the_next(
    limits: dict[str, Any], detail: str
) -> None:
    state = limited(place(1, 7, device_id="d-1"), place(2, 8, device_id="d-1"), **limits)
    assert when(state, admit(1)).type == "voucher.granted"
    line = state.queues["spring"].lines[PARTITION]
    event_refused = when_refused(state, 2)
    assert (event_refused["reason"], event_refused["detail"]) == ("user_limit", detail)
    assert (line.head, line.admitted, state.queues["spring"].waiting) == (9, 1, 0)


def when_refused(state: Claims, number: int) -> dict[str, Any]:
    """The data of a refusal that ends a user's waiting, and so changes the line."""
    asked = admit(number)
    event = decide(state, asked)
    evolve(state, asked, event)
    assert event.type == "voucher.rejected"
    return event.data


def test_a_limit_that_is_reached_refuses_at_once_and_gives_no_place_in_the_line() -> None:
    state = limited(lease=EMPTY, per_device=1)
    state.limit_counts[SHARED] = 1
    assert when(state, claim(device_id="d-1")).data["detail"] == "device"
    assert when(state, claim(41, user_id="u-2", device_id="d-2")).type == "voucher.queued"
    assert [(waits.user_id, waits.device_id, waits.queued_at_ms) for waits in state.queued] == [("u-2", "d-2", NOW_MS)]


def test_who_waits_by_a_claim_of_another_device_waits_by_another_claim() -> None:
    state = limited(place(1, 7, command_id="c-40", device_id="d-1"), lease=EMPTY, per_device=1)
    assert when(state, claim(device_id="d-1")).data["duplicate"] is True
    assert when(state, claim(device_id="d-2")).data["reason"] == "conflict"

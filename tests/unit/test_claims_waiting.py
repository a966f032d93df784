"""`when_empty: queue`, given / when / then: who finds nothing waits, and is served in turn."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.given import HOUR_MS, NOW_MS, PARTITION, campaign, causes, command, transfers, voucher
from tests.unit.test_claims_decide import EMPTY, REFUSALS, claim, given, when
from voucher_ledger.claims.decide import decide
from voucher_ledger.claims.state import Claims, Lease, LeaseShort, Queue
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger.model import Campaign, Limits, Line, Voucher, WaitingPlace

QUEUES = campaign(when_empty="queue")
SOME = Lease(PARTITION, 2, 5_000)
GONE = ("sold_out", "budget_exhausted", "not_released")


def place(number: int, ticket: int, **changes: Any) -> WaitingPlace:
    """Where user `u-<number>` waits by the claim `c-<number>`."""
    return replace(
        WaitingPlace("spring", PARTITION, ticket, f"u-{number}", 1, f"c-{number}", 3, "app", NOW_MS - 1), **changes
    )


def waiting(
    *places: WaitingPlace,
    rules: Campaign = QUEUES,
    lease: Lease = EMPTY,
    head: int = 7,
    vouchers: tuple[Voucher, ...] = (),
) -> Claims:
    """A line of which the first tickets have been served, and these places in it."""
    state = given(*vouchers, rules=rules, lease=replace(lease))
    ends = max(head, *(one.ticket + 1 for one in places), head)
    queue = Queue({PARTITION: Line("spring", PARTITION, head, ends, 0)}, ends - head)
    queue.places = {one.user_id: one for one in places if one.ticket >= head}
    queue.places_had = {one.user_id: one.ordinal for one in places}
    state.queues["spring"] = queue
    return state


def admit(number: int, offset: int = 50, at_ms: int = NOW_MS, **changes: Any) -> Command:
    data = {"campaign_id": "spring", "user_id": f"u-{number}", "claim_id": f"c-{number}", **changes}
    return command("voucher.admit", data, at_ms=at_ms, offset=offset)


def test_a_claim_that_finds_nothing_waits_at_the_end_of_the_line() -> None:
    state = waiting()
    first, second = (when(state, claim(offset, user_id=f"u-{offset}")) for offset in (40, 41))
    assert (first.type, first.data["queue_position"], second.data["queue_position"]) == ("voucher.queued", 1, 2)
    assert first.data == {
        "campaign_id": "spring", "user_id": "u-40", "city_tier": 3, "channel": "app", "command_id": "c-40",
        "queue_position": 1,
    }  # fmt: skip
    assert state.queues["spring"].lines[PARTITION] == Line("spring", PARTITION, 7, 9, 0, changed=True)
    assert state.queued == [place(40, 7, queued_at_ms=NOW_MS), place(41, 8, queued_at_ms=NOW_MS)]
    assert state.journal.rows == []
    assert state.granted == []


@pytest.mark.parametrize("name", [name for name in REFUSALS if REFUSALS[name][0] not in GONE])
def test_the_waiting_room_changes_no_other_refusal(name: str) -> None:
    reason, given_state, asked = REFUSALS[name]
    state = given_state()
    for rules in state.campaigns.values():
        rules.when_empty = "queue"
    state.queues["spring"] = Queue()
    assert when(state, asked).data["reason"] == reason


@pytest.mark.parametrize("name", [name for name in REFUSALS if REFUSALS[name][0] in GONE])
def test_whatever_is_gone_is_waited_for(name: str) -> None:
    _, given_state, asked = REFUSALS[name]
    state = given_state()
    state.queues["spring"] = Queue()
    assert when(state, asked).type == "voucher.queued"


def test_nobody_waits_before_it_is_proven_that_there_is_no_more() -> None:
    with pytest.raises(LeaseShort):
        decide(waiting(lease=Lease(PARTITION, 0, 0)), claim())


def test_where_somebody_waits_a_newcomer_goes_behind_though_there_is_some() -> None:
    state = waiting(place(1, 7), lease=SOME)
    assert when(state, claim(user_id="u-9")).data["queue_position"] == 2
    elsewhere = waiting(lease=SOME)
    elsewhere.queues["spring"].waiting = 1  # in the line of another partition
    assert when(elsewhere, claim()).type == "voucher.queued"
    assert when(waiting(lease=SOME), claim()).type == "voucher.granted"


def test_who_waits_can_not_wait_twice() -> None:
    state = waiting(place(1, 7), place(2, 8), rules=campaign(when_empty="queue", per_user_limit=5))
    event = when(state, claim(user_id="u-2"))
    assert (event.type, event.data["reason"]) == ("voucher.rejected", "user_limit")
    assert event.data["detail"] == "waits already, at position 2, by the claim c-2"


def test_the_claim_by_which_a_user_waits_is_answered_by_where_he_stands() -> None:
    state = waiting(place(40, 9))
    again = when(state, claim(40, user_id="u-40"))
    assert (again.type, again.data["queue_position"], again.data["duplicate"]) == ("voucher.queued", 3, True)
    assert when(state, claim(40, user_id="u-40", channel="web")).data["reason"] == "conflict"
    assert when(state, claim(40, user_id="u-40", at_ms=NOW_MS + HOUR_MS)).data["duplicate"]
    assert not state.queues["spring"].lines[PARTITION].changed
    assert state.queued == []


def test_the_head_of_the_line_is_granted_by_the_claim_that_waited() -> None:
    state = waiting(place(1, 7), place(2, 8), lease=SOME)
    event = when(state, admit(1))
    assert event == Event(
        "voucher.granted",
        {
            "campaign_id": "spring", "user_id": "u-1", "city_tier": 3, "channel": "app", "command_id": "c-1",
            "voucher_id": "v5-50", "face_value_minor": 2500, "expires_at": rfc3339(NOW_MS + 24 * HOUR_MS),
        },
    )  # fmt: skip
    (granted,) = state.granted
    assert (granted.command_id, granted.granted_at_ms, granted.channel) == ("c-1", NOW_MS, "app")
    assert transfers(state.journal) == [("lease/5", "granted/5", 1, 2500)]
    assert causes(state.journal) == [("v5-50", "", "claim.commands", "5", "50", "0")]
    assert state.queues["spring"].lines[PARTITION] == Line("spring", PARTITION, 8, 9, 1, changed=True)
    assert state.queues["spring"].waiting == 1
    # Sent again, by the sweeper or by the user, it is the same voucher.
    for asked in (admit(1, offset=51), claim(1, user_id="u-1")):
        again = when(state, asked)
        assert again == Event("voucher.granted", {**event.data, "duplicate": True})
    assert len(state.granted) == 1


@pytest.mark.parametrize(
    ("state", "number"),
    [
        (lambda: waiting(place(1, 7), place(2, 8), lease=SOME), 2),
        (lambda: waiting(place(2, 7)), 2),
        (lambda: waiting(place(2, 7), lease=SOME, rules=campaign(when_empty="queue", state="paused")), 2),
        (lambda: waiting(place(2, 7), rules=campaign(when_empty="queue", tranches=((NOW_MS + 1, 5),))), 2),
    ],
    ids=["not the head", "nothing left", "paused", "not released"],
)
def test_whose_turn_has_not_come_waits_on(state: Any, number: int) -> None:
    found = state()
    before = replace(found.queues["spring"].lines[PARTITION])
    event = when(found, admit(number))
    assert (event.type, event.data["command_id"], event.data["duplicate"]) == ("voucher.queued", f"c-{number}", True)
    assert event.data["queue_position"] == found.queues["spring"].places[f"u-{number}"].ticket - 6
    assert found.queues["spring"].lines[PARTITION] == before
    assert found.granted == []


@pytest.mark.parametrize("rules", [campaign(when_empty="queue", state="closed"), QUEUES], ids=["closed", "over"])
def test_at_the_end_those_left_are_told_one_after_the_other(rules: Campaign) -> None:
    state = waiting(place(1, 7), place(2, 8), rules=rules, lease=SOME)
    for number in (1, 2):
        event = when(state, admit(number, at_ms=NOW_MS + HOUR_MS))
        assert (event.type, event.data["reason"], event.data["command_id"]) == (
            "voucher.rejected", "ended", f"c-{number}",
        )  # fmt: skip
    assert state.queues["spring"].lines[PARTITION] == Line("spring", PARTITION, 9, 9, 0, changed=True)
    assert when(state, admit(1, at_ms=NOW_MS + HOUR_MS)).data["reason"] == "conflict"


@pytest.mark.parametrize(("claim_id", "limit"), [("c-other", 1), ("c-1", 2)])
def test_who_came_by_a_voucher_meanwhile_leaves_the_line_without_another(claim_id: str, limit: int) -> None:
    rules = campaign(when_empty="queue", per_user_limit=limit)
    state = waiting(place(1, 7), lease=SOME, rules=rules, vouchers=(voucher(user_id="u-1", command_id=claim_id),))
    event = when(state, admit(1))
    assert (event.type, event.data["reason"]) == ("voucher.rejected", "user_limit")
    assert state.queues["spring"].lines[PARTITION] == Line("spring", PARTITION, 8, 8, 0, changed=True)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (admit(1, campaign_id="autumn"), "unknown_campaign"),
        (admit(3), "conflict"),
        (admit(1, claim_id="c-9"), "conflict"),
        (replace(admit(1), partition=PARTITION + 1), "conflict"),
    ],
)
def test_nobody_is_admitted_who_does_not_wait_so(asked: Command, reason: str) -> None:
    state = waiting(place(1, 7), lease=SOME)
    event = when(state, asked)
    assert (event.type, event.data["reason"]) == ("voucher.rejected", reason)
    assert state.queues["spring"].lines[PARTITION].head == 7


def test_an_admission_where_nobody_can_wait_is_refused() -> None:
    assert when(given(), admit(1)).data["reason"] == "conflict"


def test_who_waits_is_honoured_once_all_is_released() -> None:
    paced = campaign(when_empty="queue", overspend="honour", tranches=((NOW_MS + 1, 5),))
    state = waiting(rules=paced)
    assert when(state, claim(1, user_id="u-1")).type == "voucher.queued"
    assert when(state, admit(1)).type == "voucher.queued"
    assert when(state, admit(1, at_ms=NOW_MS + 1)).type == "voucher.granted"
    assert transfers(state.journal) == [("loss/5", "granted/5", 1, 2500)]


def test_a_user_who_waits_again_gets_another_ordinal() -> None:
    state = waiting(place(1, 3, ordinal=1), lease=EMPTY)
    assert when(state, claim(9, user_id="u-1")).data["queue_position"] == 1
    assert state.queued[0].ordinal == 2


def test_who_passes_a_limit_by_now_leaves_the_line_and_is_told_which() -> None:
    rules = campaign(when_empty="queue", limits=Limits(per_device=1))
    state = waiting(place(1, 7, device_id="shared"), place(2, 8, device_id="shared"), lease=SOME, rules=rules)
    assert when(state, admit(1)).data["device_id"] == "shared"
    event = when(state, admit(2))
    assert (event.data["reason"], event.data["detail"]) == ("user_limit", "device")
    assert state.queues["spring"].lines[PARTITION] == Line("spring", PARTITION, 9, 9, 1, changed=True)
    assert state.limit_added == {("device", "spring", "shared"): 1}
    # A claim that is past its limit does not begin to wait.
    assert when(state, claim(60, user_id="u-3", device_id="shared")).data["reason"] == "user_limit"

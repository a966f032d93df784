"""What simulated users do when they are answered, and how a play is counted."""

from collections import Counter, deque
from itertools import count
from typing import Any

import pytest

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.messages import COMMANDS_BY_TOPIC
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.produce.records import TimedCommand
from voucher_ledger.simulate.react import Users
from voucher_ledger.simulate.scenario import Scenario, command_prefix
from voucher_ledger.simulate.tally import Tally
from voucher_ledger.simulate.waiting import WaitingRoom

BEGIN_MS = 1_770_307_200_000
DAY = Scenario(begin_ms=BEGIN_MS, claims=20_000, cards=2_000)
DECODERS: dict[str, CommandDecoder] = {topic: CommandDecoder(topic) for topic in COMMANDS_BY_TOPIC}
SEED = 7


def decoded(command: TimedCommand) -> dict[str, Any]:
    """The command as its processor sees it; Undecidable where it would be dead-lettered."""
    found = DECODERS[command.topic].decode(command.value, command.key)
    return {"type": found.type, "id": found.id, "data": found.data}


ANSWERS = {
    "order.reserve": "order.reserved",
    "order.cancel": "order.cancelled",
    "payment.settle": "payment.settled",
    "payment.refund": "payment.refunded",
}


def event(type_: str, data: dict[str, Any], number: int = 0) -> dict[str, Any]:
    return {"id": f"x.commands/0/{number}/0", "type": type_, "time": rfc3339(BEGIN_MS), "data": data}


def granted(number: int, **change: Any) -> dict[str, Any]:
    data = {
        "campaign_id": DAY.campaign_id,
        "user_id": f"u-{number}",
        "voucher_id": f"v-{number:06d}",
        "command_id": f"{command_prefix(DAY, SEED)}{number}",
        "face_value_minor": DAY.face_value_minor,
        "expires_at": rfc3339(BEGIN_MS + 60_000),
    }
    return event("voucher.granted", data | change, number)


def agreeable(command: dict[str, Any], voucher_id: str) -> dict[str, Any] | None:
    """What processors that refuse nothing would answer; holds expire for orders that nobody mentions again."""
    type_ = ANSWERS.get(command["type"])
    if type_ is None:
        return None
    data = {"voucher_id": voucher_id, **command["data"], "campaign_id": DAY.campaign_id, "command_id": command["id"]}
    extra = {
        "order.reserved": {"discount_minor": min(data.get("amount_minor", 0), DAY.face_value_minor)},
        "payment.refunded": {"discount_returned_minor": 1, "voucher_restored": True},
    }
    return event(type_, data | extra.get(type_, {}))


def stories(vouchers: int) -> list[dict[str, Any]]:
    """All commands that follow from so many grants, each decidable; a story that never ended would hang this."""
    users = Users(DAY, SEED)
    sent: list[dict[str, Any]] = []
    for number in range(vouchers):
        voucher_id = f"v-{number:06d}"
        events = deque([granted(number)])
        for step in count():
            if not events:
                break
            assert step < 1_000, f"the story of {voucher_id} does not end"
            for command in users.react(events.popleft()):
                found = decoded(command)
                sent.append(found)
                answer = agreeable(found, voucher_id)
                if answer is not None:
                    events.append(answer)
    return sent


def test_every_story_ends_and_all_its_commands_are_decidable() -> None:
    sent = stories(3_000)
    types = Counter(found["type"] for found in sent)
    assert set(types) == {*ANSWERS, "voucher.expire"}
    endings = {found["data"]["order_id"].rsplit("-", 1)[1] for found in sent if found["type"] == "order.reserve"}
    assert endings >= {"1", "2", "thief", "wrong", "small", "typo", "twice", "spent"}
    refunds = {found["data"]["refund_id"].rsplit("-", 1)[1] for found in sent if found["type"] == "payment.refund"}
    assert refunds == {"whole", "twice", "part", "rest", "greedy", "unknown", "nothing"}


def test_some_never_order_and_some_forget_their_order() -> None:
    sent = stories(1_000)
    ordered = {found["data"]["voucher_id"] for found in sent if found["type"] == "order.reserve"}
    assert 700 < len(ordered) < 950


def test_late_users_try_what_has_expired() -> None:
    users = Users(DAY, SEED)
    sent: Counter[str] = Counter()
    for number in range(300):
        data = granted(number)["data"]
        for answer in ("voucher.expired", "order.expired"):
            for command in users.react(event(answer, data | {"order_id": f"{data['voucher_id']}-1"})):
                found = decoded(command)
                sent[found["type"]] += 1
    assert set(sent) == {"order.reserve", "payment.settle", "order.cancel"}


def test_an_exhausted_category_makes_users_order_something_else_once() -> None:
    users = Users(DAY, SEED)
    data = granted(1)["data"] | {"reason": "category_budget_exhausted", "order_id": "v-000001-1"}
    (again,) = users.react(event("order.rejected", data))
    found = decoded(again)
    assert (found["data"]["order_id"], found["data"]["category"]) == ("v-000001-2", "tea")
    assert users.react(event("order.rejected", data | {"order_id": "v-000001-2"})) == []


def test_nobody_reacts_to_duplicates_or_to_other_campaigns() -> None:
    users = Users(DAY, SEED)
    for number in range(50):
        assert users.react(granted(number, duplicate=True)) == []
        assert users.react(granted(number, campaign_id="another")) == []


def tally() -> Tally:
    return Tally(command_prefix(DAY, SEED), DAY.campaign_id)


def test_a_tally_counts_own_answers_once_and_follows_the_vouchers() -> None:
    counted = tally()
    counted.sent["claim.commands"] = 4
    counted.count_answer(granted(1))
    counted.count_answer(granted(2))
    counted.count_answer(granted(1, duplicate=True))
    counted.count_answer(event("voucher.rejected", granted(3)["data"] | {"reason": "sold_out"}))
    assert (counted.unanswered, counted.granted, counted.open_vouchers) == (0, 2, 2)
    assert counted.duplicates == {"voucher.granted": 1}
    assert counted.refusals == {("voucher.rejected", "sold_out"): 1}
    for type_, opened, held in [
        ("order.reserved", 1, 1),
        ("order.expired", 2, 0),
        ("voucher.expired", 1, 0),
        ("order.reserved", 0, 1),
        ("payment.settled", 0, 0),
    ]:
        counted.count_answer(event(type_, granted(1)["data"]))
        assert (counted.open_vouchers, counted.held_vouchers) == (opened, held)
    counted.count_answer(event("payment.refunded", granted(1)["data"] | {"voucher_restored": True}))
    assert counted.open_vouchers == 1


def test_a_tally_takes_the_sweepers_answers_but_nobody_elses() -> None:
    counted = tally()
    counted.count_answer(granted(1, command_id="expire-v-1") | {"type": "voucher.expired"})
    counted.count_answer(granted(2, command_id="somebody"))
    counted.count_answer(granted(4, command_id="expire-v-4", campaign_id="another") | {"type": "voucher.expired"})
    counted.count_answer(granted(3) | {"id": "claim.commands/0/3/1"})
    assert counted.answered == 0
    assert counted.answers == {"voucher.expired": 1}


@pytest.mark.parametrize(
    ("type_", "change", "refused"),
    [
        ("campaign.opened", {}, None),
        ("campaign.opened", {"duplicate": True}, "it was opened before by the same command"),
        ("campaign.rejected", {"reason": "conflict"}, "conflict"),
        ("campaign.rejected", {"reason": "conflict", "detail": "opened by another"}, "opened by another"),
    ],
)
def test_a_tally_tells_whether_the_campaign_could_be_opened(
    type_: str, change: dict[str, Any], refused: str | None
) -> None:
    counted = tally()
    data = {"campaign_id": DAY.campaign_id, "command_id": f"{command_prefix(DAY, SEED)}open"}
    counted.count_answer(event(type_, data | change))
    assert (counted.opened, counted.opening_refused) == (refused is None, refused)


def claims_event(offset: int, type_: str, user: int, seconds: int = 0, **change: object) -> dict[str, Any]:
    """An outcome at a place of claim.commands, of the claim of a user."""
    data = {"campaign_id": DAY.campaign_id, "command_id": f"{command_prefix(DAY, SEED)}{user}", **change}
    at = rfc3339(BEGIN_MS + seconds * 1_000)
    return {"id": f"claim.commands/3/{offset}/0", "type": type_, "time": at, "data": data}


def test_an_admission_is_no_answer_to_a_claim_and_ends_its_waiting_once() -> None:
    counted = tally()
    room = counted.waiting_room = WaitingRoom()
    counted.sent["claim.commands"] = 5  # users 1, 2 and 3, and later users 1 and 3 once more
    for told in (
        claims_event(0, "voucher.granted", 1),
        claims_event(1, "voucher.queued", 2, queue_position=1),
        claims_event(2, "voucher.queued", 3, queue_position=2),
    ):
        counted.count_answer(told)
    assert counted.answered == 0  # not before their deliveries are known
    for offset in range(3):
        counted.count_delivery("claim.commands", 3, offset)
    assert (counted.answered, counted.waiting, room.queued, room.line_max) == (3, 2, 2, 2)
    # An admission that found nothing, one that did, the same again, and one at the end.
    counted.count_answer(claims_event(3, "voucher.queued", 2, 1, queue_position=1, duplicate=True))
    counted.count_answer(claims_event(4, "voucher.granted", 2, 5))
    counted.count_answer(claims_event(5, "voucher.granted", 2, 6, duplicate=True))
    counted.count_answer(claims_event(6, "voucher.rejected", 3, 9, reason="ended"))
    assert (counted.answered, counted.unanswered, counted.waiting) == (3, 2, 0)
    assert (room.admitted, room.left_without, room.wait_ms_max) == (1, 1, 9_000)
    assert room.answered_once_more == room.queued
    counted.count_delivery("claim.commands", 3, 7)  # delivered before it is answered
    counted.count_answer(claims_event(7, "voucher.granted", 1, 9, duplicate=True))
    counted.count_answer(claims_event(8, "voucher.rejected", 3, 9, reason="ended"))  # answered as a claim, too late
    counted.count_delivery("claim.commands", 3, 8)
    counted.count_delivery("order.commands", 3, 3)
    assert counted.unanswered == 0
    assert room.answered_once_more == room.queued
    assert (counted.granted, counted.open_vouchers) == (2, 2)


@pytest.mark.parametrize(
    "also",
    [
        (claims_event(2, "voucher.granted", 2),),
        (claims_event(2, "voucher.rejected", 2, reason="ended"),),
    ],
)
def test_who_is_answered_twice_or_never_is_not_answered_once_more(also: tuple[dict[str, Any], ...]) -> None:
    room = WaitingRoom()
    for user in (1, 2):
        room.delivered(f"claim.commands/3/{user + 10}/0")
        room.answered(claims_event(user + 10, "voucher.queued", user, queue_position=1))
    room.answered(claims_event(1, "voucher.granted", 2))
    assert room.answered_once_more == 1  # of user 1 nothing was heard
    room.answered(claims_event(0, "voucher.granted", 1))
    assert room.answered_once_more == room.queued == 2
    for told in also:
        room.answered(told)
    assert room.answered_once_more == 1

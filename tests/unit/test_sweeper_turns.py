"""Whose turn it is in the waiting rooms: pure, by lines and supply."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.given import HOUR_MS, NOW_MS, campaign
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.ledger.model import Campaign
from voucher_ledger.sweeper.turns import Turn, Underway, Waiting, WaitingLine, admission, openings, share, turns

REST_MS, REST_MS_MAX, AGAIN_AFTER_MS = 500, 1_500, 30_000


def nothing_underway() -> Underway:
    return Underway(REST_MS, REST_MS_MAX, AGAIN_AFTER_MS)


def line(partition: int = 0, head: int = 0, waiting: int = 10, supply: int = 10, **changes: int) -> WaitingLine:
    next_offset = changes.get("next_offset", 100)
    return WaitingLine(
        "spring", partition, head, head + waiting, next_offset, supply, changes.get("amount_minor", supply * 2500)
    )


@pytest.mark.parametrize(
    ("rules", "waits", "expected"),
    [
        (campaign(), line(supply=7), 7),
        (campaign(), line(supply=7, amount_minor=3 * 2500 + 2499), 3),
        (campaign(), line(supply=0), 0),
        (campaign(state="paused"), line(supply=7), 0),
        (campaign(state="closed"), line(supply=0), None),
        (campaign(ends_at_ms=NOW_MS), line(supply=0), None),
        (campaign(tranches=((NOW_MS, 2), (NOW_MS + 1, 5))), line(supply=7), 2),
        (campaign(tranches=((NOW_MS + 1, 9),)), line(supply=7), 0),
        (campaign(overspend="honour"), line(supply=0), None),
        (campaign(overspend="honour", tranches=((NOW_MS + 1, 5),)), line(supply=7), 2),
    ],
)
def test_as_many_have_their_turn_as_can_be_paid_for_and_are_released(
    rules: Campaign, waits: WaitingLine, expected: int | None
) -> None:
    assert openings(rules, waits, NOW_MS) == expected


counts = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), min_size=1, max_size=9)


@given(supply=st.integers(-5, 200), lines=counts)
def test_a_share_is_as_even_as_the_wants_let_it_be_and_leaves_nothing(
    supply: int, lines: list[tuple[int, int]]
) -> None:
    wanted, served = [want for want, _ in lines], [before for _, before in lines]
    shares = share(supply, wanted, served)
    assert sum(shares) == max(0, min(supply, sum(wanted)))
    assert all(0 <= got <= want for got, want in zip(shares, wanted, strict=True))
    hungry = [place for place, got in enumerate(shares) if got < wanted[place]]
    for place in hungry:
        assert all(got <= shares[place] + 1 for got in shares)
        assert all(shares[other] <= shares[place] or served[other] <= served[place] for other in hungry)


def sent(waits: list[WaitingLine], supply_at: int = NOW_MS, sent_max: int = 1_000) -> tuple[Underway, list[Turn]]:
    underway = nothing_underway()
    found = turns(waits, {"spring": campaign()}, underway.standings(waits, 0), supply_at, sent_max)
    underway.remember(found, {one.partition: 100 + number for number, one in enumerate(waits)}, 0)
    return underway, found


def test_what_is_underway_is_not_sent_again_and_its_supply_is_taken() -> None:
    waits = [line(0, supply=12), line(1, supply=12)]
    underway, found = sent(waits)
    assert [turn.places for turn in found] == [6, 6]
    assert underway
    assert turns(waits, {"spring": campaign()}, underway.standings(waits, 0), NOW_MS, 1_000) == []
    # Two of line 0 are decided, with more to come; a top-up brings four more.
    later = [line(0, head=2, waiting=8, supply=14), line(1, supply=14)]
    found = turns(later, {"spring": campaign()}, underway.standings(later, 0), NOW_MS, 1_000)
    assert [(turn.ticket, turn.places) for turn in found] == [(6, 2), (6, 2)]


def test_a_line_that_did_not_move_rests_ever_longer_and_is_tried_by_its_head() -> None:
    underway, _ = sent([line(supply=10)])
    stuck = line(waiting=10, supply=10, next_offset=101)
    clock_ms = 0
    for tries, rest_ms in enumerate((REST_MS, 2 * REST_MS, REST_MS_MAX, REST_MS_MAX), 1):
        assert underway.standings([stuck], clock_ms) == [(0, 0)]
        assert not underway
        assert underway.stuck(tries) == {("spring", 0): tries}
        assert underway.stuck(tries + 1) == {}
        assert underway.standings([stuck], clock_ms + rest_ms - 1) == [(0, 0)]
        clock_ms += rest_ms
        assert underway.standings([stuck], clock_ms) == [(0, 1)]
        underway.remember([Turn(stuck, 0, 1)], {0: 100}, clock_ms)
    moved = line(head=1, waiting=9, supply=9, next_offset=101)
    assert underway.standings([moved], clock_ms) == [(1, 9)]
    assert underway.stuck(1) == {}


def test_a_line_that_moved_in_part_rests_once_and_is_sent_whole_again() -> None:
    underway, _ = sent([line(supply=10)])
    rest = [line(head=4, waiting=6, supply=6, next_offset=101)]
    assert underway.standings(rest, clock_ms=1_000) == [(4, 0)]
    assert underway.standings(rest, clock_ms=1_000 + REST_MS) == [(4, 1)]


def test_what_a_partition_never_decides_is_sent_again_after_its_time_and_no_sooner_while_it_moves() -> None:
    underway, _ = sent([line(supply=10)])
    waits = [line(supply=10, next_offset=100)]
    assert underway.standings(waits, AGAIN_AFTER_MS - 1) == [(10, 0)]
    moving = [line(supply=10, next_offset=100)]
    assert underway.standings(moving, AGAIN_AFTER_MS) == [(0, 0)]
    assert underway.standings(moving, AGAIN_AFTER_MS + REST_MS) == [(0, 1)]
    others, _ = sent([line(supply=10, next_offset=90)])
    backlog = [line(supply=10, next_offset=95)]
    assert others.standings(backlog, AGAIN_AFTER_MS - 1) == [(10, 0)]
    assert others.standings(backlog, 2 * AGAIN_AFTER_MS - 2) == [(10, 0)]


def test_places_that_were_not_found_are_not_remembered() -> None:
    underway = nothing_underway()
    underway.remember([Turn(line(), 0, 3)], {}, 0)
    assert not underway


def test_a_partition_that_stopped_takes_nothing_from_the_others() -> None:
    lines = [line(partition, waiting=1_000, supply=100_000) for partition in range(4)]
    underway = nothing_underway()
    for _ in range(50):
        found = turns(lines, {"spring": campaign()}, underway.standings(lines, 0), NOW_MS, 40)
        assert sum(turn.places for turn in found if turn.line.partition) >= 30
        underway.remember(found, {turn.line.partition: turn.line.next_offset for turn in found}, 0)
        # All but partition 0 decide what was sent to them.
        served = {turn.line.partition: turn.places for turn in found}
        lines = [
            line(one.partition, head=one.head + served.get(one.partition, 0), waiting=1_000, supply=100_000,
                 next_offset=one.next_offset + 1) if one.partition else one
            for one in lines
        ]  # fmt: skip


def test_no_more_are_sent_than_the_bound_and_no_campaign_takes_all_of_it() -> None:
    waits = [line(partition, waiting=1_000, supply=10_000) for partition in range(4)]
    others = [WaitingLine("autumn", 0, 0, 30, 100, 30, 30 * 2500)]
    rules = {"spring": campaign(), "autumn": campaign(campaign_id="autumn")}
    standings = nothing_underway().standings(waits + others, 0)
    found = turns(waits + others, rules, standings, NOW_MS, 100)
    assert [turn.places for turn in found] == [18, 18, 17, 17, 30]


def test_when_the_campaign_is_over_all_are_told() -> None:
    waits = [line(0, waiting=3, supply=0), line(1, waiting=2, supply=0)]
    found = turns(waits, {"spring": campaign()}, [(0, 3), (0, 2)], NOW_MS + HOUR_MS, 1_000)
    assert [turn.places for turn in found] == [3, 2]


def test_an_admission_is_a_command_that_the_claims_room_can_decide() -> None:
    record = admission(Turn(line(3), 17, 1), Waiting(17, "ü-1", "c-1"), NOW_MS)
    decoded = CommandDecoder("claim.commands").decode(record, "ü-1".encode())
    assert (decoded.type, decoded.id) == ("voucher.admit", "admit-3-17")
    assert decoded.data == {"campaign_id": "spring", "user_id": "ü-1", "claim_id": "c-1"}
    assert orjson.loads(record)["source"] == "voucher-ledger/sweeper"

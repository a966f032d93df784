"""How outcomes are rolled up: what is counted together, what has a value, and what is bounded."""

from typing import Any

import pytest

from voucher_ledger.core import demand
from voucher_ledger.core.demand import Outcome, Rollup, Tally
from voucher_ledger.core.envelope import encoder
from voucher_ledger.core.records import Command, Event

SECOND_MS = 1_770_307_200_000
SECOND = SECOND_MS // 1000


def outcome(type_: str, offset: int = 0, time_ms: int = SECOND_MS, **data: Any) -> Outcome:
    return offset, time_ms, Event(type_, {"campaign_id": "spring", "user_id": "ana", **data})


def rolled_up(*outcomes: Outcome, next_offset: int = 20) -> list[Rollup]:
    tally = Tally("claim.commands", 3, 10)
    for each in outcomes:
        tally.add(*each)
    return tally.rollups(next_offset)


def only_row(*outcomes: Outcome) -> demand.Row:
    (rollup,) = rolled_up(*outcomes)
    (row,) = rollup.rows
    return row


def granted(**data: Any) -> Outcome:
    return outcome("voucher.granted", **{"face_value_minor": 2_500, "city_tier": 2, **data})


def test_what_is_alike_in_a_second_is_one_row_of_its_campaigns_record() -> None:
    first, second = rolled_up(
        granted(time_ms=SECOND_MS),
        granted(time_ms=SECOND_MS + 999),
        granted(time_ms=SECOND_MS + 1_000),
        granted(city_tier=6),
        granted(campaign_id="summer"),
    )
    assert (first.source, first.first_offset, first.next_offset) == ("claim.commands/3", 10, 20)
    assert [(row.at - SECOND, row.city_tier, row.count, row.value_minor) for row in first.rows] == [
        (0, 2, 2, 5_000),
        (1, 2, 1, 2_500),
        (0, 6, 1, 2_500),
    ]
    assert (second.campaign_id, second.rows[0].count) == ("summer", 1)
    assert second.record()[0] == b"summer"


def test_nothing_decided_is_no_record() -> None:
    assert rolled_up() == []


def test_an_answer_given_again_is_told_apart_and_has_no_value() -> None:
    (rollup,) = rolled_up(granted(), granted(duplicate=True))
    assert [(row.reason, row.count, row.value_minor) for row in rollup.rows] == [(None, 1, 2_500), ("duplicate", 1, 0)]


def test_a_senders_own_words_are_no_reason() -> None:
    assert only_row(outcome("order.cancelled", reason="too late"), outcome("order.cancelled")).reason is None
    assert only_row(outcome("voucher.rejected", reason="sold_out")).reason == "sold_out"


@pytest.mark.parametrize(
    ("type_", "reason"), [("voucher.rejected", "unknown_campaign"), ("voucher.rejected", "unknown_voucher")]
)
def test_a_campaign_that_nobody_has_checked_is_not_named(type_: str, reason: str) -> None:
    (rollup,) = rolled_up(
        outcome(type_, campaign_id="made up", reason=reason), outcome(type_, campaign_id="another", reason=reason)
    )
    assert (rollup.campaign_id, rollup.rows[0].count, rollup.record()[0]) == ("", 2, b"")


@pytest.mark.parametrize(
    ("type_", "data", "value_minor", "high_ticket"),
    [
        ("order.reserved", {"amount_minor": 100_000, "discount_minor": 2_500}, 100_000, 1),
        ("order.reserved", {"amount_minor": 99_999}, 99_999, 0),
        ("order.rejected", {"amount_minor": 250_000, "reason": "voucher_used"}, 250_000, 1),
        ("order.rejected", {"reason": "unknown_order"}, 0, 0),
        ("order.reserved", {"amount_minor": 100_000, "duplicate": True}, 0, 0),
        ("payment.settled", {"paid_minor": 700_000, "discount_minor": 5}, 700_000, 0),
        ("payment.refunded", {"amount_minor": 30, "discount_returned_minor": 5}, 30, 0),
        ("payment.rejected", {"paid_minor": 700, "reason": "unknown_order"}, 0, 0),
        ("voucher.rejected", {"reason": "sold_out"}, 0, 0),
        ("campaign.opened", {"quota": 5, "budget_minor": 70}, 0, 0),
    ],
)
def test_the_value_is_what_the_event_is_worth(
    type_: str, data: dict[str, Any], value_minor: int, high_ticket: int
) -> None:
    row = only_row(outcome(type_, **data))
    assert (row.value_minor, row.high_ticket) == (value_minor, high_ticket)


def test_orders_of_several_amounts_are_one_row() -> None:
    amounts = [outcome("order.reserved", category="tea", amount_minor=amount_minor) for amount_minor in range(1, 101)]
    row = only_row(*amounts)
    assert (row.category, row.count, row.value_minor) == ("tea", 100, 5_050)


def test_more_categories_than_a_campaign_may_list_are_other() -> None:
    names = [f"c{number}" for number in range(demand.CATEGORIES_MAX + 5)]
    (rollup,) = rolled_up(*[outcome("order.reserved", category=name, amount_minor=1) for name in names])
    assert [row.category for row in rollup.rows] == [*names[: demand.CATEGORIES_MAX], demand.OTHER]
    assert rollup.rows[-1].count == 5


def test_a_large_share_is_told_in_parts_that_follow_one_another() -> None:
    count = 2 * demand.EVENTS_A_ROLLUP_MAX + 1
    # Offsets with gaps, as after an aborted transaction, and times that are all apart: the most rows that there can be.
    outcomes = [granted(offset=10 + 2 * number, time_ms=SECOND_MS + 1_000 * number) for number in range(count)]
    rollups = rolled_up(*outcomes, next_offset=10 + 2 * count + 7)
    assert [len(rollup.rows) for rollup in rollups] == [demand.EVENTS_A_ROLLUP_MAX, demand.EVENTS_A_ROLLUP_MAX, 1]
    edges = [rollup.first_offset for rollup in rollups] + [rollups[-1].next_offset]
    assert [rollup.next_offset for rollup in rollups] == edges[1:]
    assert (edges[0], edges[1], edges[-1]) == (10, outcomes[demand.EVENTS_A_ROLLUP_MAX][0], 10 + 2 * count + 7)


def test_the_largest_rollup_fits_into_a_record() -> None:
    widest = "\U0001f9e7" * 126
    rows = [
        outcome("order.rejected", number, SECOND_MS * 100 + number * 1000, category=f"{widest}{number % 100:02}",
                reason="category_budget_exhausted", city_tier=6, amount_minor=10**15)
        for number in range(demand.EVENTS_A_ROLLUP_MAX)
    ]  # fmt: skip
    (rollup,) = rolled_up(*rows)
    assert len(rollup.rows) == demand.EVENTS_A_ROLLUP_MAX
    assert len(rollup.record()[1]) < 1_000_000


def test_an_encoded_event_tells_the_outcome_that_it_was_made_from() -> None:
    event = granted()[2]
    encoded = encoder("claims", "claim.commands", 3)(event, Command("voucher.claim", "c", {}, 3, 17, SECOND_MS + 123))
    assert demand.outcome_of(encoded) == (17, SECOND_MS + 123, event)

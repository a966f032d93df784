"""What the sweeper sends: pure, by rows and memory."""

import pytest

from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.sweeper.plan import COMMAND_ID_CHARACTERS_MAX, DueHold, DueRow, DueVoucher, RecentlySent, plan

RECORD_TIME_MS = 1_770_336_000_123
VOUCHER = DueVoucher("v003-000000000042", "grey", "ü-1")
HOLD = DueHold("order-1", "user-2")


def memory() -> RecentlySent:
    return RecentlySent(entries_max=3, again_after_ms=1_000)


@pytest.mark.parametrize(
    ("row", "topic", "type_", "data"),
    [
        (
            VOUCHER,
            "claim.commands",
            "voucher.expire",
            {"campaign_id": "grey", "user_id": "ü-1", "voucher_id": "v003-000000000042"},
        ),
        (HOLD, "order.commands", "order.expire", {"order_id": "order-1", "user_id": "user-2"}),
    ],
)
def test_a_due_row_becomes_a_command_that_its_room_can_decide(
    row: DueRow, topic: str, type_: str, data: dict[str, str]
) -> None:
    (expiry,) = plan([row], memory(), 0, RECORD_TIME_MS)
    assert expiry.topic == topic
    decoded = CommandDecoder(topic).decode(expiry.value, expiry.key)
    assert (decoded.type, decoded.id, decoded.data) == (type_, expiry.command_id, data)
    assert b'"time":"2026-02-06T00:00:00.123Z"' in expiry.value


def test_the_command_id_names_what_expires() -> None:
    voucher, hold = plan([VOUCHER, HOLD], memory(), 0, RECORD_TIME_MS)
    assert (voucher.command_id, hold.command_id) == ("expire-v003-000000000042", "expire-order-1")


def test_the_longest_order_id_still_makes_a_valid_command() -> None:
    longest, other = "o" * COMMAND_ID_CHARACTERS_MAX, "o" * (COMMAND_ID_CHARACTERS_MAX - 1) + "p"
    first, second = plan([DueHold(longest, "u"), DueHold(other, "u")], memory(), 0, RECORD_TIME_MS)
    assert first.command_id != second.command_id
    assert CommandDecoder("order.commands").decode(first.value, b"u").data["order_id"] == longest


def test_what_was_sent_waits_and_is_sent_again_after_its_time() -> None:
    recently_sent = memory()
    recently_sent.remember([HOLD], now_ms=5_000)
    assert plan([HOLD], recently_sent, 5_999, RECORD_TIME_MS) == []
    assert len(plan([HOLD], recently_sent, 6_000, RECORD_TIME_MS)) == 1


def test_what_is_planned_is_not_yet_remembered() -> None:
    recently_sent = memory()
    plan([HOLD], recently_sent, 0, RECORD_TIME_MS)
    assert HOLD not in recently_sent


def test_an_order_named_like_a_voucher_is_another_command() -> None:
    recently_sent = memory()
    recently_sent.remember([VOUCHER], now_ms=0)
    assert len(plan([DueHold(VOUCHER.voucher_id, VOUCHER.user_id)], recently_sent, 0, RECORD_TIME_MS)) == 1


def test_the_memory_is_bounded_and_forgets_the_oldest() -> None:
    first, second, third, fourth = (DueHold(f"order-{number}", "user") for number in range(4))
    recently_sent = memory()
    recently_sent.remember([first, second, third], 0)
    recently_sent.remember([first], 10)
    recently_sent.remember([fourth], 20)
    assert len(recently_sent) == 3
    assert second not in recently_sent
    assert recently_sent.waits(first, 1_009)
    assert not recently_sent.waits(third, 1_000)

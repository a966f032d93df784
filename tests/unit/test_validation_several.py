"""The fields of orders of several vouchers: how many, each once, and none of them the first again."""

from typing import Any

import pytest

from tests.unit.test_validation import decode, refusal, with_data


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (with_data("order.reserve", more_voucher_ids=[]), "data.more_voucher_ids: a list has less than 1 item"),
        (with_data("order.reserve", more_voucher_ids=[f"v-{n}" for n in range(2, 12)]), "has more than 9 items"),
        (with_data("order.reserve", more_voucher_ids=["v-2", "v-2"]), "data.more_voucher_ids: a list has non-unique"),
        (
            with_data("order.reserve", more_voucher_ids=["v-2", "v-1"]),
            'data.more_voucher_ids: "v-1" is data.voucher_id already',
        ),
        (with_data("order.reserve", more_voucher_ids=["a\tb"]), "must hold no control characters"),
        (with_data("campaign.open", vouchers_per_order_max=0), "data.vouchers_per_order_max: 0 is less than"),
        (with_data("campaign.open", vouchers_per_order_max=11), "data.vouchers_per_order_max: 11 is greater than"),
        (with_data("campaign.open", vouchers_per_order_max=2.0), "data.vouchers_per_order_max: 2.0 is not an integer"),
    ],
)
def test_what_no_order_can_ask_for_is_a_dead_letter(command: dict[str, Any], expected: str) -> None:
    assert expected in refusal(command)


def test_ten_vouchers_may_be_asked_for() -> None:
    command = with_data("order.reserve", more_voucher_ids=[f"v-{n}" for n in range(2, 11)])
    assert decode(command).data["more_voucher_ids"][-1] == "v-10"

"""What may go wrong with orders of several vouchers, in the books of tests/integration/books.py; see corruptions.py."""

from tests.integration.corruptions import (
    ALLOWED,
    BALANCES,
    CATEGORY,
    HELD,
    SPENT,
    SPENT_BALANCE,
    TOGETHER,
    TRAIL,
    Corruption,
)

_HOLDS = "UPDATE books.reservation SET {} WHERE order_id = 'order-stacks-holds'"
_PAYS = "UPDATE books.reservation SET {} WHERE order_id = 'order-stacks-pays'"
_THIRD = "(SELECT more_voucher_ids[2] FROM books.reservation WHERE order_id = 'order-stacks-holds')"
_OF_HOLDS = ("order_id", "order-stacks-holds")

CORRUPTIONS = {
    "more vouchers on an order than are allowed": Corruption(
        "UPDATE books.campaign SET vouchers_per_order_max = 2 WHERE campaign_id = 'stacked'",
        ALLOWED,
        ("vouchers_per_order_max", "2"),
        frozenset([ALLOWED]),
    ),
    "several discounts that are not the order's": Corruption(
        _HOLDS.format("voucher_discounts_minor = '{2500,2500,1999}'"), ALLOWED, _OF_HOLDS, frozenset([ALLOWED])
    ),
    "a voucher that takes nothing off beside others": Corruption(
        _HOLDS.format("voucher_discounts_minor = '{2500,2500,0}', discount_minor = 5000"),
        ALLOWED,
        ("discount_minor", "5000"),
        frozenset([ALLOWED, CATEGORY]),
    ),
    "a voucher twice on an order": Corruption(
        _HOLDS.format("more_voucher_ids[2] = voucher_id"), ALLOWED, _OF_HOLDS, frozenset([ALLOWED, HELD, TOGETHER])
    ),
    "one of several that does not exist": Corruption(
        _HOLDS.format("more_voucher_ids[2] = 'v-none'"), HELD, ("voucher_id", "v-none"), frozenset([HELD, TOGETHER])
    ),
    "one of several back with its user": Corruption(
        f"UPDATE books.voucher SET state = 'granted' WHERE voucher_id = {_THIRD}",
        HELD,
        _OF_HOLDS,
        frozenset([HELD, BALANCES, TRAIL]),
    ),
    "one of several of another user": Corruption(
        f"UPDATE books.voucher SET user_id = 'thief' WHERE voucher_id = {_THIRD}",
        HELD,
        ("voucher_user_id", "thief"),
        frozenset([HELD]),
    ),
    "one of several held by another command": Corruption(
        f"""UPDATE books.transfer SET cause_offset = 1, cause_index = 9
        WHERE credit_role = 'held' AND voucher_id = {_THIRD}""",
        TOGETHER,
        _OF_HOLDS,
        frozenset([TOGETHER]),
    ),
    "several vouchers that were held in another order": Corruption(
        """UPDATE books.transfer SET cause_index = 9 - cause_index
        WHERE credit_role = 'held' AND order_id = 'order-stacks-holds'""",
        TOGETHER,
        _OF_HOLDS,
        frozenset([TOGETHER]),
    ),
    "several vouchers spent at each other's discounts": Corruption(
        _PAYS.format("voucher_discounts_minor = '{2500,2499,1001}'"),
        SPENT,
        ("discount_minor", "2499"),
        frozenset([SPENT]),
    ),
    "three vouchers spent, and one paid for": Corruption(
        _PAYS.format("more_voucher_ids = NULL, voucher_discounts_minor = NULL"),
        SPENT_BALANCE,
        ("spent_vouchers", "3"),
        frozenset([SPENT, SPENT_BALANCE]),
    ),
}

"""What may go wrong in the books of tests/integration/books.py, each with the checks that must find it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Corruption:
    """Statements that break the books. `meant_for` is the check that names the row told by (column, value); `checks`
    are all that fail: no other may."""

    statements: str
    meant_for: str
    told_by: tuple[str, str]
    checks: frozenset[str]


CORRUPTIONS: dict[str, Corruption] = {}


def _plant(name: str, statements: str, meant_for: str, told_by: tuple[str, object], *others: str) -> None:
    CORRUPTIONS[name] = Corruption(
        statements, meant_for, (told_by[0], str(told_by[1])), frozenset([meant_for, *others])
    )


def _voucher_of(user_id: str) -> str:
    return f"(SELECT min(voucher_id) FROM books.voucher WHERE user_id = '{user_id}')"


_POOL = "UPDATE books.account SET {} WHERE campaign_id = 'grey' AND role = 'pool'"
_FUNDING = "UPDATE books.account SET {} WHERE campaign_id = 'grey' AND role = 'funding'"
_ONE_LESS = "vouchers = vouchers + 1, amount_minor = amount_minor + 2500"
_LOSS = "UPDATE books.account SET {} WHERE campaign_id = 'past' AND role = 'loss' AND shard = 1"
_GRANT = f"debit_role = 'lease' AND credit_role = 'granted' AND voucher_id = {_voucher_of('twice')}"
_TOP_UP = "cause_topic = 'campaign.commands' AND cause_offset = 2"

ACCOUNTS = "accounts_equal_their_postings"
ZERO = "campaigns_sum_to_zero"
OVERDRAWN = "no_account_is_overdrawn"
APPROVED = "quota_and_budget_are_approved"
KEPT = "quota_and_budget_are_kept"
TRANCHES = "tranches_are_kept"
LOSS = "loss_is_of_honoured_claims"
BALANCES = "vouchers_equal_balances"
TRAIL = "vouchers_equal_their_postings"
LIMIT = "user_limits_are_kept"
DAY_LIMIT = "day_limits_are_kept"
COUNTS = "device_and_channel_limits_are_kept"
HELD = "reservations_equal_held_vouchers"
PAYMENTS = "reservations_equal_payments"
SPENT = "payments_equal_spent_vouchers"
SPENT_BALANCE = "payments_equal_spent_balance"
REFUNDS = "refunds_equal_payments"
CATEGORY = "category_budgets_are_kept"
ALLOWED = "several_vouchers_are_allowed"
TOGETHER = "several_vouchers_move_together"
CAUSE = "transfers_have_a_cause"
TWICE = "no_cause_twice"
LINES = "lines_are_kept"
WAITS = "nobody_waits_twice"
SERVED = "who_left_a_line_was_served"
MOVEMENT = "movements_are_those_of_the_design"
OUTBOX = "positions_match_their_outbox"
SEALS = "seals_follow_one_another"

_plant(
    "a voucher too many in the pool", _POOL.format("vouchers = vouchers + 1"), ACCOUNTS, ("role", "pool"), ZERO, KEPT
)
_plant(
    "money too much in the pool",
    _POOL.format("amount_minor = amount_minor + 1"),
    ZERO,
    ("amount_minor", 1),
    ACCOUNTS,
    KEPT,
)
_plant(
    "a voucher moved without a transfer",
    """UPDATE books.account SET vouchers = vouchers - 1 WHERE campaign_id = 'grey' AND role = 'pool';
    UPDATE books.account SET vouchers = vouchers + 1 WHERE campaign_id = 'grey' AND role = 'granted' AND shard = 1""",
    ACCOUNTS, ("role", "granted"), BALANCES,
)  # fmt: skip
_plant("a transfer lost", f"DELETE FROM books.transfer WHERE {_GRANT}", ACCOUNTS, ("role", "granted"), TRAIL)
_plant("a transfer of another amount", f"UPDATE books.transfer SET amount_minor = 1 WHERE {_GRANT}",
       ACCOUNTS, ("role", "granted"), TRAIL)  # fmt: skip
_plant("an account lost", "DELETE FROM books.account WHERE role = 'granted' AND shard = 1 AND campaign_id = 'grey'",
       ACCOUNTS, ("shard", 1), ZERO, KEPT, BALANCES)  # fmt: skip
_plant("quota from nowhere", f"{_POOL.format('vouchers = vouchers + 1')};{_FUNDING.format('vouchers = vouchers - 1')}",
       KEPT, ("campaign_id", "grey"), ACCOUNTS)  # fmt: skip
_plant(
    "a pool below zero",
    """ALTER TABLE books.account DROP CONSTRAINT account_not_overdrawn;
    UPDATE books.account SET vouchers = -1 WHERE campaign_id = 'other' AND role = 'pool'""",
    OVERDRAWN, ("vouchers", -1), ACCOUNTS, ZERO, KEPT,
)  # fmt: skip
_plant("a quota that nobody funded", "UPDATE books.campaign SET quota = quota + 1 WHERE campaign_id = 'grey'",
       APPROVED, ("quota", 13), KEPT)  # fmt: skip
_plant("a top-up that no command asked for", "DELETE FROM books.campaign_command WHERE command_id = 'top-1'",
       APPROVED, ("accepted_vouchers", 10))  # fmt: skip
_plant("a top-up without approval", f"UPDATE books.transfer SET approved_by = NULL WHERE {_TOP_UP}",
       APPROVED, ("unapproved", 2))  # fmt: skip
_plant(
    "more vouchers than the quota",
    """INSERT INTO books.voucher SELECT 'forged-' || n, 'grey', 'forger-' || n, 1, 0, 'granted', 1, 0, 0, 'c'
    FROM generate_series(1, 5) AS n""",
    KEPT, ("vouchers_out", 13), BALANCES, TRAIL,
)  # fmt: skip
_plant("an overspend that was forbidden", "UPDATE books.campaign SET overspend = 'forbid' WHERE campaign_id = 'past'",
       LOSS, ("overspend", "forbid"))  # fmt: skip
_plant("an overspend of which no loss tells", _LOSS.format(_ONE_LESS),
       KEPT, ("lost_vouchers", 1), ACCOUNTS, ZERO)  # fmt: skip
_plant(
    "a loss that was funded afterwards",
    f"""{_LOSS.format(_ONE_LESS)};
    UPDATE books.account SET vouchers = vouchers - 1, amount_minor = amount_minor - 2500
    WHERE campaign_id = 'past' AND role = 'funding'""",
    KEPT, ("lost_minor", 2500), ACCOUNTS,
)  # fmt: skip
_plant("a unit of loss too much", _LOSS.format("amount_minor = amount_minor - 1"),
       LOSS, ("lost_minor", 5001), ACCOUNTS, ZERO, KEPT)  # fmt: skip
_plant("a voucher of another value", "UPDATE books.voucher SET face_value_minor = 1 WHERE user_id = 'cancels'",
       BALANCES, ("role", "granted"), TRAIL)  # fmt: skip
_plant("a voucher of another shard", "UPDATE books.voucher SET shard = 0 WHERE user_id = 'cancels'",
       BALANCES, ("shard", 1))  # fmt: skip
_plant("a voucher lost", "DELETE FROM books.voucher WHERE user_id = 'cancels'",
       TRAIL, ("posted_granted", 1), BALANCES)  # fmt: skip
_plant(
    "two vouchers that changed places",
    """UPDATE books.voucher SET state = 'granted' WHERE user_id = 'expires';
    UPDATE books.voucher SET state = 'expired' WHERE user_id = 'twice' AND ordinal = 1""",
    TRAIL, ("state", "expired"),
)  # fmt: skip
_plant("a limit passed", "UPDATE books.campaign SET per_user_limit = 1 WHERE campaign_id = 'grey'",
       LIMIT, ("user_id", "twice"))  # fmt: skip
_plant(
    "a day's limit passed",
    """UPDATE books.campaign SET limits = jsonb_set(limits, '{day_utc_offset_minutes}', '479')
    WHERE campaign_id = 'limited'""",
    DAY_LIMIT, ("day", "2026-02-06"),
)  # fmt: skip
_plant("a device counted short", "UPDATE books.limit_count SET vouchers = 1 WHERE name = 'shared'",
       COUNTS, ("counted_vouchers", 2))  # fmt: skip
_plant("a channel's count lost", "DELETE FROM books.limit_count WHERE name = 'app'",
       COUNTS, ("counted_vouchers", 3))  # fmt: skip
_plant(
    "a channel that the campaign does not limit",
    "INSERT INTO books.limit_count VALUES ('channel', 'limited', 'web', 1, 9)",
    COUNTS, ("name", "web"),
)  # fmt: skip
_plant("a limit that is not the campaign's", "UPDATE books.limit_count SET vouchers_max = 9 WHERE name = 'other'",
       COUNTS, ("vouchers_max", 9))  # fmt: skip
_plant(
    "a channel past its quota",
    """ALTER TABLE books.limit_count DROP CONSTRAINT limit_not_passed;
    UPDATE books.limit_count SET vouchers_max = 2 WHERE name = 'app';
    UPDATE books.campaign SET limits = jsonb_set(limits, '{channel_quotas,app}', '2') WHERE campaign_id = 'limited'""",
    COUNTS, ("campaign_max", 2),
)  # fmt: skip
_plant("a hold that nobody has", "UPDATE books.reservation SET state = 'cancelled' WHERE order_id = 'order-holds'",
       HELD, ("voucher_user_id", "holds"), CATEGORY)  # fmt: skip
_plant(
    "one voucher held twice",
    """INSERT INTO books.reservation SELECT 'forged', voucher_id, campaign_id, user_id, merchant_id, 'tea', city_tier,
    amount_minor, discount_minor, state, reserved_at_ms, expires_at_ms FROM books.reservation
    WHERE order_id = 'order-holds'""",
    HELD, ("reservations", 2),
)  # fmt: skip
_plant("another user's hold", "UPDATE books.reservation SET user_id = 'thief' WHERE order_id = 'order-holds'",
       HELD, ("order_user_id", "thief"))  # fmt: skip
_plant("a payment of another amount", "UPDATE books.payment SET paid_minor = 501 WHERE order_id = 'order-pays'",
       PAYMENTS, ("paid_minor", 501))  # fmt: skip
_plant("a payment lost", "DELETE FROM books.payment WHERE order_id = 'order-pays'",
       PAYMENTS, ("order_id", "order-pays"), SPENT_BALANCE)  # fmt: skip
_plant("a payment of an open order", "UPDATE books.reservation SET state = 'expired' WHERE order_id = 'order-pays'",
       PAYMENTS, ("order_id", "order-pays"), SPENT, CATEGORY)  # fmt: skip
_plant(
    "a voucher spent by another order",
    f"UPDATE books.reservation SET voucher_id = {_voucher_of('twice')} WHERE order_id = 'order-pays'",
    SPENT, ("voucher_user_id", "pays"),
)  # fmt: skip
_plant(
    "one voucher spent twice",
    f"UPDATE books.reservation SET voucher_id = {_voucher_of('refunds-part')} WHERE order_id = 'order-pays'",
    SPENT, ("reservations", 2),
)  # fmt: skip
_plant(
    "a payment from nowhere",
    "INSERT INTO books.payment VALUES ('forged', 'forged', 'forger', 0, 100, 0, 'settled', 0)",
    SPENT_BALANCE, ("discount_minor", 100), PAYMENTS,
)  # fmt: skip
_plant("a refund lost", "DELETE FROM books.refund WHERE payment_id = 'payment-refunds-part'",
       REFUNDS, ("payment_id", "payment-refunds-part"))  # fmt: skip
_plant("a discount back too early", "UPDATE books.refund SET discount_returned_minor = 1 WHERE amount_minor = 200",
       REFUNDS, ("discount_returned_minor", 1))  # fmt: skip
_plant("a refund of no payment", "INSERT INTO books.refund VALUES ('forged', 'forged', 'o', 'u', 1, NULL, 0, false)",
       REFUNDS, ("payment_id", "forged"))  # fmt: skip
_plant("a category's sum", "UPDATE books.category_budget SET committed_minor = 1 WHERE campaign_id = 'grey'",
       CATEGORY, ("committed_minor", 1))  # fmt: skip
_plant(
    "a category past its budget",
    """ALTER TABLE books.category_budget DROP CONSTRAINT category_budget_not_exceeded;
    UPDATE books.category_budget SET budget_minor = 1 WHERE campaign_id = 'grey'""",
    CATEGORY, ("budget_minor", 1),
)  # fmt: skip
_plant("a transfer of a record not yet decided", f"UPDATE books.transfer SET cause_offset = 1000 WHERE {_GRANT}",
       CAUSE, ("cause_offset", 1000))  # fmt: skip
_plant("a transfer of an unknown partition", f"UPDATE books.transfer SET cause_partition = 77 WHERE {_GRANT}",
       CAUSE, ("cause_partition", 77))  # fmt: skip
_plant(
    "a lease drawn far ahead",
    "UPDATE books.transfer SET cause_offset = 900000 WHERE cause_index < 0 AND campaign_id = 'grey'",
    CAUSE, ("cause_offset", 900000),
)  # fmt: skip
_plant(
    "a cause that moved twice",
    """ALTER TABLE books.transfer DROP CONSTRAINT transfer_key;
    UPDATE books.transfer SET cause_partition = 0, cause_offset = 1
    WHERE cause_topic = 'claim.commands' AND cause_partition = 1 AND cause_index = 0 AND cause_offset = 0""",
    TWICE, ("transfers", 2),
)  # fmt: skip
_plant("a movement under another topic", f"UPDATE books.transfer SET cause_topic = 'order.commands', cause_offset = 0, "
       f"cause_index = 9 WHERE {_GRANT}", MOVEMENT, ("cause_index", 9))  # fmt: skip
_plant("a voucher's movement that names none", f"UPDATE books.transfer SET voucher_id = NULL WHERE {_GRANT}",
       MOVEMENT, ("debit_role", "lease"), TRAIL)  # fmt: skip
_plant("an outbox row lost", "DELETE FROM books.outbox WHERE topic = 'order.commands' AND first_offset = 3",
       OUTBOX, ("following_offset", 4))  # fmt: skip
_plant("an outbox row beyond the position", "INSERT INTO books.outbox VALUES ('payment.commands', 0, 6, 9, '')",
       OUTBOX, ("outbox_next_offset", 9))  # fmt: skip
_plant("a position that moved alone", "UPDATE books.position SET next_offset = next_offset + 1 WHERE topic LIKE 'pay%'",
       OUTBOX, ("position_next_offset", 7), SEALS)  # fmt: skip
_plant("a position lost", "DELETE FROM books.position WHERE topic = 'payment.commands'",
       OUTBOX, ("topic", "payment.commands"), CAUSE)  # fmt: skip
_plant(
    "a tranche that most grants came before",
    "UPDATE books.campaign SET release_at_ms = '{1770336000002}', release_quota = '{10}' WHERE campaign_id = 'grey'",
    TRANCHES, ("released", 2),
)  # fmt: skip
_plant("a place lost", "DELETE FROM books.waiting_place WHERE user_id = 'waits'", LINES, ("last_ticket", 0))
_plant("a line lost", "DELETE FROM books.waiting_line", LINES, ("places", 2))
_plant("a ticket twice", """ALTER TABLE books.waiting_place DROP CONSTRAINT waiting_place_key;
       UPDATE books.waiting_place SET ticket = 1""", LINES, ("first_ticket", 1), SERVED)  # fmt: skip
_plant("a user who waits twice", """UPDATE books.waiting_place SET user_id = 'waits', ordinal = 2 WHERE ticket = 0;
       UPDATE books.waiting_line SET head = 0, admitted = 0""", WAITS, ("places", 2))  # fmt: skip
_plant("a user passed over", "UPDATE books.waiting_line SET head = 2", SERVED, ("without", 1))
_plant(
    "a user admitted without a voucher", "UPDATE books.waiting_line SET head = 2, admitted = 2", SERVED, ("admitted", 2)
)

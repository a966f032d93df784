"""What payments are decided from: the part of the books that one batch touches. No IO."""

from dataclasses import dataclass, field

from voucher_ledger.ledger.journal import Journal
from voucher_ledger.ledger.model import Payment, Refund, Reservation, Voucher


@dataclass(slots=True)
class Payments:
    """The working set: loaded by the store, changed by `evolve`, written back by the store.

    `category_left_minor` holds the (campaign_id, category) pairs that have a budget of their own;
    `category_committed_minor` what this batch changes of what they have committed (negative: given back).
    """

    journal: Journal
    vouchers: dict[str, Voucher] = field(default_factory=dict)
    reservations: dict[str, Reservation] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    refunds: dict[str, Refund] = field(default_factory=dict)
    category_left_minor: dict[tuple[str, str], int] = field(default_factory=dict)
    category_committed_minor: dict[tuple[str, str], int] = field(default_factory=dict)
    settled: list[Payment] = field(default_factory=list)
    refunded: list[Refund] = field(default_factory=list)
    changed_payments: dict[str, Payment] = field(default_factory=dict)
    changed_reservations: dict[str, Reservation] = field(default_factory=dict)
    changed_vouchers: dict[str, Voucher] = field(default_factory=dict)

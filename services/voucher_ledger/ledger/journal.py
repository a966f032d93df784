"""The double entry of one batch: every movement is a transfer, and accounts change by nothing but their sum. No IO."""

from voucher_ledger.core.records import Command
from voucher_ledger.ledger.copy_text import NULL, escape
from voucher_ledger.ledger.model import Role

_NO_NOTE = f"\t{NULL}\t{NULL}\n"

AccountKey = tuple[str, Role, int]


class _Movement:
    """The transfers of a batch between the same two accounts: their common columns, and their sums."""

    __slots__ = ("amount_minor", "prefix", "vouchers")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.vouchers = 0
        self.amount_minor = 0


class Journal:
    """Collects the transfers of a batch as rows for COPY, in the order in which they were posted."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._movements: dict[tuple[str, Role, int, Role, int], _Movement] = {}
        self.rows: list[str] = []

    def post(
        self,
        command: Command,
        index: int,
        campaign_id: str,
        debit: tuple[Role, int],
        credit: tuple[Role, int],
        vouchers: int,
        amount_minor: int,
        voucher_id: str | None = None,
        order_id: str | None = None,
        reason: str | None = None,
        approved_by: str | None = None,
    ) -> None:
        """Move `vouchers` and `amount_minor` (both >= 0, one of them > 0) from `debit` to `credit` (role, shard).

        `index` numbers the transfers of one command, from 0. `voucher_id` is one that the ledger made (never escaped);
        `reason` is kept where somebody approved the transfer.
        """
        key = (campaign_id, *debit, *credit)
        movement = self._movements.get(key)
        if movement is None:
            prefix = f"{escape(campaign_id)}\t{debit[0]}\t{debit[1]}\t{credit[0]}\t{credit[1]}"
            movement = self._movements[key] = _Movement(prefix)
        movement.vouchers += vouchers
        movement.amount_minor += amount_minor
        order = NULL if order_id is None else escape(order_id)
        note = _NO_NOTE if approved_by is None else f"\t{escape(reason)}\t{escape(approved_by)}\n"
        self.rows.append(
            f"{movement.prefix}\t{vouchers}\t{amount_minor}\t{voucher_id or NULL}\t{order}"
            f"\t{self._topic}\t{command.partition}\t{command.offset}\t{index}\t{command.time_ms}{note}"
        )

    def deltas(self) -> dict[AccountKey, tuple[int, int]]:
        """What each account changes by: (vouchers, amount_minor). The deltas of a batch sum to zero in both units."""
        sums: dict[AccountKey, tuple[int, int]] = {}
        for (campaign_id, debit_role, debit_shard, credit_role, credit_shard), movement in self._movements.items():
            for account, sign in (
                ((campaign_id, debit_role, debit_shard), -1),
                ((campaign_id, credit_role, credit_shard), 1),
            ):
                vouchers, amount_minor = sums.get(account, (0, 0))
                sums[account] = (vouchers + sign * movement.vouchers, amount_minor + sign * movement.amount_minor)
        return sums

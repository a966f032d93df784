"""The double entry of one batch: every movement is a transfer, and accounts change by nothing but their sum. No IO."""

from voucher_ledger.core.records import Command
from voucher_ledger.ledger.copy_text import NULL
from voucher_ledger.ledger.model import RoleName

_NO_NOTE = f"\t{NULL}\t{NULL}\n"

AccountKey = tuple[str, RoleName, int]


class Movement:
    """The transfers of a batch between the same two accounts; `add` is the hot path of every grant."""

    __slots__ = ("_prefix", "_rows", "_topic", "amount_minor", "vouchers")

    def __init__(self, prefix: str, topic: str, rows: list[str]) -> None:
        self._prefix = prefix
        self._topic = topic
        self._rows = rows
        self.vouchers = 0
        self.amount_minor = 0

    def add(
        self,
        command: Command,
        index: int,
        vouchers: int,
        amount_minor: int,
        voucher_id: str | None = None,
        order_id: str | None = None,
        note: str = _NO_NOTE,
    ) -> None:
        """Append one transfer; see Journal.post."""
        self.vouchers += vouchers
        self.amount_minor += amount_minor
        self._rows.append(
            f"{self._prefix}\t{vouchers}\t{amount_minor}\t{voucher_id or NULL}\t{order_id or NULL}"
            f"\t{self._topic}\t{command.partition}\t{command.offset}\t{index}\t{command.time_ms}{note}"
        )


class Journal:
    """Collects the transfers of a batch as rows for COPY, in the order in which they were posted."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._movements: dict[tuple[str, tuple[RoleName, int], tuple[RoleName, int]], Movement] = {}
        self.rows: list[str] = []

    def movement(self, campaign_id: str, debit: tuple[RoleName, int], credit: tuple[RoleName, int]) -> Movement:
        """The movement from `debit` to `credit` (role, shard) of a campaign."""
        key = (campaign_id, debit, credit)
        found = self._movements.get(key)
        if found is None:
            prefix = f"{campaign_id}\t{debit[0]}\t{debit[1]}\t{credit[0]}\t{credit[1]}"
            found = self._movements[key] = Movement(prefix, self._topic, self.rows)
        return found

    def post(
        self,
        command: Command,
        index: int,
        campaign_id: str,
        debit: tuple[RoleName, int],
        credit: tuple[RoleName, int],
        vouchers: int,
        amount_minor: int,
        voucher_id: str | None = None,
        order_id: str | None = None,
        reason: str | None = None,
        approved_by: str | None = None,
    ) -> None:
        """Move `vouchers` and `amount_minor` (both >= 0, one of them > 0) from `debit` to `credit`.

        `index` numbers the transfers of one command, from 0. `reason` is kept where
        somebody approved the transfer.
        """
        note = _NO_NOTE if approved_by is None else f"\t{reason or NULL}\t{approved_by}\n"
        movement = self.movement(campaign_id, debit, credit)
        movement.add(command, index, vouchers, amount_minor, voucher_id, order_id, note)

    def deltas(self) -> dict[AccountKey, tuple[int, int]]:
        """What each account changes by: (vouchers, amount_minor). The deltas of a batch sum to zero in both units."""
        sums: dict[AccountKey, tuple[int, int]] = {}
        for (campaign_id, debit, credit), movement in self._movements.items():
            for account, sign in (((campaign_id, *debit), -1), ((campaign_id, *credit), 1)):
                vouchers, amount_minor = sums.get(account, (0, 0))
                sums[account] = (vouchers + sign * movement.vouchers, amount_minor + sign * movement.amount_minor)
        return sums

"""Vouchers are named by the places of their claims; the copy of a claim lies elsewhere, and so is its voucher named."""

import re
from bisect import bisect_right

_VOUCHER = re.compile(r"v(\d{1,9})-(\d{1,18})")


class VoucherPlaces:
    """Where claims were copied to, by partition. Between two transactions offsets differ by a constant, so only the
    places are kept where the difference changes.
    """

    def __init__(self) -> None:
        self._starts: dict[int, list[int]] = {}
        self._shifts: dict[int, list[int]] = {}
        self._last: dict[int, int] = {}

    def add(self, partition: int, source: int, target: int) -> None:
        """The claim at offset `source` was copied to `target`, in the same partition; called in their order."""
        starts, shifts = self._starts.setdefault(partition, []), self._shifts.setdefault(partition, [])
        if not shifts or shifts[-1] != target - source:
            starts.append(source)
            shifts.append(target - source)
        self._last[partition] = source

    def place_of(self, voucher_id: str) -> tuple[int, int] | None:
        """The partition and offset of the claim that a voucher is named by; None where it is no voucher's name."""
        found = _VOUCHER.fullmatch(voucher_id)
        return (int(found[1]), int(found[2])) if found else None

    def is_known(self, partition: int, source: int) -> bool:
        """Whether claims of the partition were copied up to offset `source`."""
        return source <= self._last.get(partition, -1)

    def copied(self, voucher_id: str) -> str | None:
        """The name of the voucher that the copied claim is granted; None where its claim was not copied."""
        place = self.place_of(voucher_id)
        if place is None or not self.is_known(*place):
            return None
        partition, source = place
        run = bisect_right(self._starts[partition], source) - 1
        return None if run < 0 else f"v{partition}-{source + self._shifts[partition][run]}"

"""Cuts the merged commands of all rooms into batches, the same each time. Pure.

A window is what lies in one GRID_MS of record time. In it each room decides its part at once, in the order campaigns,
claims, orders, payments: so a voucher is there for its order, and an order for its payment. A window ends early where
that order would turn something round that belongs to one user: an order or payment after a payment of his; and before
and after each command on a campaign, which changes the rules for all.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from voucher_ledger.core.records import Command

# How often the sweeper looks (sweeper.loop.ROUND_SECONDS); vouchers and holds end on this grid.
GRID_MS: Final = 500
BATCH_RECORDS_MAX: Final = 5_000
ROOM_NAMES: Final = ("campaigns", "claims", "orders", "payments")


@dataclass(slots=True)
class Window:
    """The commands to decide next, by room, in the order of their records; `at_ms` is where their grid cell begins."""

    at_ms: int
    batches: dict[str, list[Command]] = field(default_factory=dict)


def grid_floor(time_ms: int) -> int:
    """The beginning of the grid cell in which a moment lies."""
    return time_ms - time_ms % GRID_MS


def grid_ceiling(time_ms: int) -> int:
    """The first moment of the grid at `time_ms` or after it."""
    return -(-time_ms // GRID_MS) * GRID_MS


def windows(commands: Iterable[tuple[int, str, Command]]) -> Iterator[Window]:
    """Windows of (time in ms that never goes back, room, command)."""
    window: Window | None = None
    count = 0
    payers: set[str] = set()
    for time_ms, room, command in commands:
        at_ms = grid_floor(time_ms)
        owner = "" if room == "campaigns" else command.data["user_id"]
        if window is not None and (
            at_ms > window.at_ms
            or count >= BATCH_RECORDS_MAX
            or room == "campaigns"
            or "campaigns" in window.batches
            or (room in ("orders", "payments") and owner in payers)
        ):
            yield window
            window = None
        if window is None:
            window, count, payers = Window(at_ms), 0, set()
        window.batches.setdefault(room, []).append(command)
        count += 1
        if room == "payments":
            payers.add(owner)
    if window is not None:
        yield window

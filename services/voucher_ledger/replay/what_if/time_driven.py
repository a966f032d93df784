"""What the sweeper would have sent, by its own queries and turns, in record time instead of by a clock.

Other rules bring other vouchers due and give other turns in the waiting rooms, so its recorded commands tell nothing.
It looks at each moment of the grid on which something may be: where nothing can be due until the next command, no time
is lost in looking.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final

import psycopg

from voucher_ledger.replay.what_if.cutting import grid_ceiling, grid_floor
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.sweeper.loop import ADMISSIONS_A_ROUND_MAX
from voucher_ledger.sweeper.plan import DueHold, DueVoucher, RecentlySent, plan
from voucher_ledger.sweeper.store import DueStore
from voucher_ledger.sweeper.turns import Turn, admission, turns

# All that is due at a moment is taken at once and sorted: of rows due together a database gives these or those first.
DUE_ROWS_MAX: Final = 1_000_000

_NEXT_DUE = """
SELECT min(expires_at_ms) FROM (
    (SELECT expires_at_ms FROM books.voucher WHERE NOT swept AND expires_at_ms > %(after)s
     ORDER BY expires_at_ms LIMIT 1)
    UNION ALL
    (SELECT expires_at_ms FROM books.reservation WHERE NOT swept AND expires_at_ms > %(after)s
     ORDER BY expires_at_ms LIMIT 1)) AS due"""

_TURNS_COME = "SELECT release_at_ms, ends_at_ms FROM books.campaign WHERE when_empty = 'queue'"

# (partition, key, value, record time in ms)
SentRecord = tuple[int, bytes, bytes, int]
_SHARD = re.compile(r"v(\d+)-")


class TimeDriven:
    """Expires and admits on one sandbox; `decide` decides records of a room at once, so nothing is ever underway."""

    def __init__(
        self, settings: Settings, connection: psycopg.Connection, decide: Callable[[str, Sequence[SentRecord]], None]
    ) -> None:
        """Connect the sweeper's store. Raises Unreachable, NotSetUp."""
        # Nobody waits for this one's turn, and it may be long until the next sweep: where the topics hold millions of
        # commands that are not played, none is asked for.
        self._store = DueStore(settings, idle_seconds_max=0)
        self._connection = connection
        self._decide = decide
        self._now_ms = -1
        self._stirred = False
        self._turns_at_ms: list[int] = []

    def close(self) -> None:
        """Hang up."""
        self._store.close()

    def decided(self) -> None:
        """Learn that commands were decided: what they gave back may give somebody his turn when it is looked next."""
        self._stirred = True

    def rules_changed(self) -> None:
        """Learn when a waiting room's campaigns release tranches and end, each of which may give turns."""
        rows = self._connection.execute(_TURNS_COME).fetchall()
        self._turns_at_ms = sorted({at_ms for released, ends_at_ms in rows for at_ms in (*released, ends_at_ms)})

    def pass_until(self, time_ms: int) -> None:
        """Sweep at each moment of the grid up to `time_ms`, and at the last one, at which something may be due."""
        last_ms = grid_floor(time_ms)
        if self._now_ms < 0:
            self._now_ms = last_ms  # the first command of all: nothing is there that could be due
        while self._now_ms < last_ms:
            self._now_ms = min(last_ms, self._next_ms(last_ms))
            self._sweep(self._now_ms)

    def _next_ms(self, last_ms: int) -> int:
        """The next moment of the grid at which something may be due; any that is past `last_ms` says that none is."""
        soonest_ms = grid_ceiling(self._now_ms + 1)
        if self._stirred or soonest_ms >= last_ms:
            return soonest_ms
        row = self._connection.execute(_NEXT_DUE, {"after": self._now_ms}).fetchone()
        found = [row[0]] if row and row[0] is not None else []
        found += self._turns_at_ms[bisect_right(self._turns_at_ms, self._now_ms) :][:1]
        return grid_ceiling(min(found)) if found else last_ms

    def _sweep(self, now_ms: int) -> None:
        """Holds first: the vouchers that they held may be due themselves."""
        self._stirred = False
        while holds := self._store.due_holds(now_ms, DUE_ROWS_MAX):
            self._expire("orders", sorted(holds, key=_business_id), now_ms)
            if len(holds) < DUE_ROWS_MAX:
                break
        while vouchers := self._store.due_vouchers(now_ms, DUE_ROWS_MAX):
            self._expire("claims", sorted(vouchers, key=_business_id), now_ms)
            if len(vouchers) < DUE_ROWS_MAX:
                break
        self._store.mark_swept(now_ms, DUE_ROWS_MAX)
        self._admit(now_ms)

    def _expire(self, room: str, due_rows: Sequence[DueVoucher | DueHold], now_ms: int) -> None:
        expiries = plan(due_rows, RecentlySent(0, 0), 0, now_ms)
        self._decide(room, [(_partition(expiry.row), expiry.key, expiry.value, now_ms) for expiry in expiries])

    def _admit(self, now_ms: int) -> None:
        """Admit until nobody's turn is left, or nobody moves any more."""
        before: list[tuple[str, int, int]] | None = None
        while lines := self._store.waiting_lines():
            heads = [(line.campaign_id, line.partition, line.head) for line in lines]
            if heads == before:
                return
            before = heads
            rules = self._store.campaigns(sorted({line.campaign_id for line in lines}))
            standings = [(line.head, line.next_ticket - line.head) for line in lines]
            found = turns(lines, rules, standings, now_ms, ADMISSIONS_A_ROUND_MAX)
            records = [record for turn in found for record in self._admissions(turn, now_ms)]
            if not records:
                return
            self._decide("claims", records)

    def _admissions(self, turn: Turn, now_ms: int) -> list[SentRecord]:
        return [
            (turn.line.partition, waiting.user_id.encode(), admission(turn, waiting, now_ms), now_ms)
            for waiting in self._store.places(turn)
        ]


def _partition(row: DueVoucher | DueHold) -> int:
    """An expiry may be decided in any partition: a voucher's in that of its claim, an order's in the first."""
    found = _SHARD.match(row.voucher_id) if isinstance(row, DueVoucher) else None
    return int(found[1]) if found else 0


def _business_id(row: DueVoucher | DueHold) -> str:
    return row.voucher_id if isinstance(row, DueVoucher) else row.order_id

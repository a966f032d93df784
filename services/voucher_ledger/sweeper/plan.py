"""Which due vouchers and holds become commands now. Pure: rows, memory and the time in, commands out."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson

from voucher_ledger.core.clock import rfc3339

SOURCE = "voucher-ledger/sweeper"
COMMAND_ID_CHARACTERS_MAX = 128


@dataclass(frozen=True, slots=True)
class DueVoucher:
    """A granted voucher past its expiry."""

    voucher_id: str
    campaign_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class DueHold:
    """A held reservation past its expiry. `order.expire` grants its voucher again, which may be due itself by then."""

    order_id: str
    user_id: str


DueRow = DueVoucher | DueHold


@dataclass(frozen=True, slots=True)
class Expiry:
    """A command to send for `row`: `value` is its CloudEvents record."""

    row: DueRow
    command_id: str
    topic: str
    key: bytes
    value: bytes


class RecentlySent:
    """The rows whose commands were sent and may not have been decided yet, each for `again_after_ms`; at most
    `entries_max`, of which the oldest is forgotten first (to send one twice is harmless: the second is a duplicate).

    Rows, not command ids: an order may be named like a voucher.
    """

    def __init__(self, entries_max: int, again_after_ms: int) -> None:
        self._entries_max = entries_max
        self._again_after_ms = again_after_ms
        self._sent_at_ms: OrderedDict[DueRow, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sent_at_ms)

    def __contains__(self, row: DueRow) -> bool:
        return row in self._sent_at_ms

    def waits(self, row: DueRow, now_ms: int) -> bool:
        """Whether the row's command was sent too short a time ago to be sent again."""
        sent_at_ms = self._sent_at_ms.get(row)
        return sent_at_ms is not None and now_ms - sent_at_ms < self._again_after_ms

    def remember(self, rows: Iterable[DueRow], now_ms: int) -> None:
        """Keep in mind that the commands of these were sent at `now_ms`."""
        for row in rows:
            self._sent_at_ms[row] = now_ms
            self._sent_at_ms.move_to_end(row)
        while len(self._sent_at_ms) > self._entries_max:
            self._sent_at_ms.popitem(last=False)


def plan(due_rows: Sequence[DueRow], recently_sent: RecentlySent, now_ms: int, record_time_ms: int) -> list[Expiry]:
    """The commands for those due rows that are not waiting for an earlier one.

    `now_ms` is the clock of `recently_sent`, which runs even where record times stand still; `record_time_ms` is the
    time that the commands carry.
    """
    at = rfc3339(record_time_ms)
    return [_command(row, at) for row in due_rows if not recently_sent.waits(row, now_ms)]


def command_id_of(row: DueRow) -> str:
    """`expire-<id>`; an id that is too long for that is named by its hash."""
    business_id = row.voucher_id if isinstance(row, DueVoucher) else row.order_id
    command_id = f"expire-{business_id}"
    if len(command_id) <= COMMAND_ID_CHARACTERS_MAX:
        return command_id
    return f"expire-{hashlib.sha256(business_id.encode()).hexdigest()}"


def _command(row: DueRow, at: str) -> Expiry:
    command_id = command_id_of(row)
    if isinstance(row, DueVoucher):
        topic, type_ = "claim.commands", "voucher.expire"
        data = {"campaign_id": row.campaign_id, "user_id": row.user_id, "voucher_id": row.voucher_id}
    else:
        topic, type_ = "order.commands", "order.expire"
        data = {"order_id": row.order_id, "user_id": row.user_id}
    envelope = {"specversion": "1.0", "id": command_id, "source": SOURCE, "type": type_, "time": at, "data": data}
    return Expiry(row, command_id, topic, row.user_id.encode(), orjson.dumps(envelope))

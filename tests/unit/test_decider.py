"""What the decider does about a batch that fails: tried again, taken apart, or given up as a whole."""

from typing import Any, cast

import psycopg
import pytest

from voucher_ledger.core.records import Command
from voucher_ledger.ledger.errors import Contended
from voucher_ledger.run.rooms import ROOMS
from voucher_ledger.runtime.decider import Decider
from voucher_ledger.runtime.errors import SessionLost
from voucher_ledger.runtime.outbox import DeadLetter, Outbox, Share
from voucher_ledger.runtime.positions import Positions
from voucher_ledger.runtime.windows import Windows

ATTEMPTS_MAX = 6
TAKEN = psycopg.errors.UniqueViolation("order_id was taken")


class Record:
    """The one record of the batch."""

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7

    def key(self) -> bytes:
        return b"ana"

    def value(self) -> bytes:
        return b"{}"

    def headers(self) -> list[Any]:
        return []


class Scripted(Decider[Any]):
    """A decider whose transactions fail as told, and then go through; `decided` is what they were given."""

    def __init__(self, failures: list[Exception]) -> None:
        room = ROOMS["orders"](cast("Any", None))
        positions = Positions(room.command_topic, "id", "orders-0")
        outbox = Outbox(room.command_topic, room.key_field)
        super().__init__(room, cast("Any", None), positions, outbox, ATTEMPTS_MAX, Windows())
        self.failures = failures
        self.decided: list[Any] = []

    def _transact(self, items: Any, published: dict[int, int], *, lock: bool) -> list[Share]:
        del published, lock
        if self.failures:
            raise self.failures.pop(0)
        self.decided.extend(items)
        return []


def decided_after(failures: list[Exception]) -> type:
    decider = Scripted(failures)
    decider.decide([Command("order.cancel", "c", {}, 0, 7, 0, Record())], {})
    (item,) = decider.decided
    return type(item)


def test_a_record_that_fails_by_itself_is_dead_lettered() -> None:
    assert decided_after([TAKEN] * 2) is Command
    assert decided_after([TAKEN] * 3) is DeadLetter


def test_contention_is_no_records_fault() -> None:
    assert decided_after([Contended(), psycopg.errors.DeadlockDetected(), TAKEN]) is Command
    with pytest.raises(SessionLost):
        decided_after([Contended()] * ATTEMPTS_MAX)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedColumn, psycopg.errors.DataCorrupted,
        psycopg.errors.InternalError_, psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.FeatureNotSupported,
    ],
)  # fmt: skip
def test_what_the_database_lacks_or_suffers_is_no_records_fault(error: type[psycopg.Error]) -> None:
    with pytest.raises(error):
        decided_after([error()])

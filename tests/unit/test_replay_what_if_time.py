"""The time of `replay what-if`: when it is looked for what is due, in which order, and when nobody moves any more."""

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from tests.unit.what_if_given import payment
from voucher_ledger.core.records import Command
from voucher_ledger.ledger.model import Campaign
from voucher_ledger.replay.what_if import time_driven
from voucher_ledger.replay.what_if.prices import Prices
from voucher_ledger.replay.what_if.side import Side
from voucher_ledger.replay.what_if.time_driven import SentRecord, TimeDriven
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.sweeper.plan import DueHold, DueVoucher
from voucher_ledger.sweeper.turns import Turn, Waiting, WaitingLine

NOWHERE = Settings(kafka="nowhere", postgres="dbname=ledger")


class Books:
    """Due rows with their times, and one line, as the sweeper's store and a connection tell of them."""

    def __init__(
        self, due: dict[str, int], *, waiting: int = 0, moves: bool = True, turns_at_ms: tuple[int, ...] = ()
    ) -> None:
        self.due, self.waiting, self.moves, self.turns_at_ms = due, waiting, moves, turns_at_ms
        self.looked_at_ms: list[int] = []
        self.decided: list[tuple[str, list[str], int]] = []
        self.queries = 0
        self.head = 0

    def due_holds(self, now_ms: int, _rows_max: int) -> list[DueHold]:
        self.looked_at_ms.append(now_ms)
        return [DueHold(name, "u") for name, at_ms in self.due.items() if at_ms <= now_ms and name.startswith("o")]

    def due_vouchers(self, now_ms: int, _rows_max: int) -> list[DueVoucher]:
        return [DueVoucher(name, "grey", "u") for name, at_ms in self.due.items() if at_ms <= now_ms and name[0] == "v"]

    def mark_swept(self, now_ms: int, _rows_max: int) -> None:
        pass

    def waiting_lines(self) -> list[WaitingLine]:
        return [WaitingLine("grey", 5, self.head, self.waiting, 0, 9, 90)] if self.head < self.waiting else []

    def campaigns(self, _campaign_ids: Collection[str]) -> dict[str, Campaign]:
        return {"grey": Campaign("grey", "open", "CNY", "free_order", 10, None, 0, 0, 10**9, 1, 1, 1, None)}

    def places(self, turn: Turn) -> list[Waiting]:
        return [Waiting(ticket, f"w{ticket}", f"c{ticket}") for ticket in range(turn.ticket, turn.ticket + turn.places)]

    def execute(self, query: str, arguments: Any = None) -> Any:
        if query == time_driven._TURNS_COME:
            return SimpleNamespace(fetchall=lambda: [([at_ms], 10**9) for at_ms in self.turns_at_ms])
        self.queries += 1
        later = [at_ms for at_ms in self.due.values() if at_ms > arguments["after"]]
        return SimpleNamespace(fetchone=lambda: (min(later, default=None),))

    def decide(self, room: str, records: Collection[SentRecord]) -> None:
        sent = [orjson.loads(value) for _, _, value, _ in records]
        names = [
            command["data"].get("voucher_id") or command["data"].get("order_id") or command["id"] for command in sent
        ]
        self.decided.append((room, names, next(iter(records))[3]))
        for name in names:
            self.due.pop(name, None)
        if self.moves:
            self.head += sum(command["type"] == "voucher.admit" for command in sent)


def played(monkeypatch: pytest.MonkeyPatch, books: Books) -> TimeDriven:
    monkeypatch.setattr(time_driven, "DueStore", lambda _settings, **_: books)
    found: Any = TimeDriven(NOWHERE, books, books.decide)  # type: ignore[arg-type]
    found.pass_until(1_000)
    return found  # type: ignore[no-any-return]


def test_over_a_gap_it_looks_when_something_is_due_and_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books({"v3-1": 5_001, "v3-2": 9_000, "o1": 9_400, "v3-9": 99_999})
    played(monkeypatch, books).pass_until(20_250)
    assert books.decided == [
        ("claims", ["v3-1"], 5_500), ("claims", ["v3-2"], 9_000), ("orders", ["o1"], 9_500),
    ]  # fmt: skip
    assert sorted(set(books.looked_at_ms)) == [5_500, 9_000, 9_500, 20_000]


def test_what_is_due_together_is_taken_in_the_order_of_its_names_holds_first(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books({"v3-2": 1_200, "v3-1": 1_300, "o2": 1_400, "o1": 1_400})
    played(monkeypatch, books).pass_until(1_500)
    assert books.decided == [("orders", ["o1", "o2"], 1_500), ("claims", ["v3-1", "v3-2"], 1_500)]


def test_after_commands_it_looks_at_the_next_half_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they gave back may give somebody his turn, long before anything is due or anybody comes."""
    books = Books({})
    time = played(monkeypatch, books)
    time.decided()
    time.pass_until(60_000)
    assert books.looked_at_ms == [1_500, 60_000]
    assert books.queries == 1


def test_a_tranche_of_a_waiting_room_is_a_moment_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books({}, turns_at_ms=(30_001,))
    time = played(monkeypatch, books)
    time.rules_changed()
    time.pass_until(60_000)
    assert books.looked_at_ms == [30_500, 60_000]


def test_all_whose_turn_it_is_are_admitted_in_their_partition_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books({}, waiting=4)
    played(monkeypatch, books).pass_until(1_500)
    assert books.decided == [("claims", [f"admit-5-{ticket}" for ticket in range(4)], 1_500)]


def test_a_line_that_does_not_move_is_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    books = Books({}, waiting=4, moves=False)
    played(monkeypatch, books).pass_until(1_500)
    assert len(books.decided) == 1


def test_a_side_writes_to_a_sandbox_only() -> None:
    with pytest.raises(ValueError, match="sandbox of its own only"):
        Side(NOWHERE, NOWHERE.postgres, {}, {}, None, {}, None)  # type: ignore[arg-type]


class Rows:
    """A sandbox's prices by order, rests by payment and amounts by refund."""

    def __init__(self, prices: dict[str, int], rests: dict[str, int], refunds: dict[str, int]) -> None:
        self._tables = {"books.reservation": prices, "books.payment": rests, "books.refund": refunds}

    def execute(self, query: bytes, arguments: tuple[list[str]]) -> Any:
        rows = next(rows for table, rows in self._tables.items() if table in query.decode())
        return SimpleNamespace(fetchall=lambda: [(name, rows[name]) for name in arguments[0] if name in rows])


def refund(amount_minor: int, refund_id: str = "r") -> Command:
    data = {"refund_id": refund_id, "payment_id": "p", "order_id": "o", "user_id": "u", "amount_minor": amount_minor}
    return Command("payment.refund", "r", data)


def paid(amount_minor: int) -> Command:
    command = payment("u")
    command.data["paid_minor"] = amount_minor
    return command


def test_who_paid_the_price_pays_the_other_price_and_nobody_else() -> None:
    baseline: Any = Rows({"o": 500}, {"p": 300}, {"old": 200})
    changed: Any = Rows({"o": 1_000}, {"p": 800}, {"old": 250})
    prices = Prices(baseline, changed)
    given = [paid(500), paid(499), refund(300), refund(299), refund(200, "old"), refund(300, "old")]
    amounts = [c.data.get("paid_minor", c.data.get("amount_minor")) for c in prices.repriced(given)]
    assert amounts == [1_000, 499, 800, 299, 250, 300]
    assert prices.count == 3
    assert given[0].data["paid_minor"] == 500, "the baseline's command was changed"

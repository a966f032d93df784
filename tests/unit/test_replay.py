"""The pure parts of the replay tools: the fold's contradictions, marks, lines, the search for an event."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import typer

from voucher_ledger import cli
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.replay.answers import Cause, Marks
from voucher_ledger.replay.bounds import Bound
from voucher_ledger.replay.dead_letters.selection import Tally
from voucher_ledger.replay.dead_letters.shown import reasons_table
from voucher_ledger.replay.event_search import find_event
from voucher_ledger.replay.events_aside import EventsAside
from voucher_ledger.replay.fold import Fold, is_effective
from voucher_ledger.replay.letter_filter_arguments import bound_of
from voucher_ledger.replay.manual import manual
from voucher_ledger.replay.rebuild_transfers import Movements
from voucher_ledger.replay.rows import TABLES, differing_columns
from voucher_ledger.replay.spill import Spill, bucket_count
from voucher_ledger.replay.topic_reader import Range
from voucher_ledger.replay.verify_arguments import _partitions
from voucher_ledger.run.exit_codes import ExitCode

VOUCHER = {"campaign_id": "c", "user_id": "u\\", "voucher_id": "v0-1", "command_id": "claim-1"}
ORDER = {**VOUCHER, "order_id": "o", "merchant_id": "m", "category": "tea", "amount_minor": 900}
REFUND = {**ORDER, "refund_id": "r", "payment_id": "p", "amount_minor": 100}


def event(type_: str, offset: int, data: dict[str, Any]) -> dict[str, Any]:
    topic = {"voucher": "claim", "order": "order", "payment": "payment"}[type_.split(".", maxsplit=1)[0]]
    return {"id": f"{topic}.commands/0/{offset}/0", "type": type_, "time": rfc3339(offset), "data": data}


GRANTED = event("voucher.granted", 1, {**VOUCHER, "face_value_minor": 1_000, "expires_at": rfc3339(9)})
RESERVED = event("order.reserved", 2, {**ORDER, "discount_minor": 800, "expires_at": rfc3339(8)})
SETTLED = event("payment.settled", 3, {**ORDER, "payment_id": "p", "paid_minor": 100, "discount_minor": 800})
CANCELLED = event("order.cancelled", 4, {**ORDER, "reason": "rain"})
REFUNDED = event("payment.refunded", 5, {**REFUND, "discount_returned_minor": 800, "voucher_restored": False})
EXPIRED = event("voucher.expired", 6, VOUCHER)


def folded(*events: dict[str, Any]) -> Fold:
    fold = Fold()
    for taken in events:
        fold.apply(taken)
    fold.finish()
    return fold


@pytest.mark.parametrize(
    ("events", "states"),
    [
        ((GRANTED,), ("granted", 1_000, None)),
        ((GRANTED, RESERVED), ("held", 1_000, "held")),
        ((GRANTED, RESERVED, CANCELLED), ("granted", 1_000, "cancelled")),
        ((GRANTED, RESERVED, CANCELLED, EXPIRED), ("expired", 1_000, "cancelled")),
        ((GRANTED, RESERVED, SETTLED), ("spent", 800, "settled")),
        ((GRANTED, RESERVED, SETTLED, REFUNDED), ("expired", 800, "refunded")),
    ],
)
def test_states_come_of_the_events(events: tuple[dict[str, Any], ...], states: tuple[object, ...]) -> None:
    fold = folded(*events)
    voucher, reservation = fold.vouchers["v0-1"], fold.reservations.get("o")
    assert (voucher.state, voucher.face_value_minor, reservation and reservation.state) == states
    assert fold.faults == []


def test_a_refund_that_restores_leaves_the_voucher_worth_its_discount() -> None:
    restored = event("payment.refunded", 5, {**REFUNDED["data"], "voucher_restored": True})
    fold = folded(GRANTED, RESERVED, SETTLED, restored)
    assert (fold.vouchers["v0-1"].state, fold.vouchers["v0-1"].face_value_minor) == ("granted", 800)
    assert (fold.payments["p"].state, fold.payments["p"].refunded_minor) == ("refunded", 100)


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ((GRANTED, GRANTED), "claim.commands/0/1/0 (voucher.granted): voucher v0-1 was granted before"),
        ((EXPIRED,), "voucher v0-1 was never granted"),
        ((GRANTED, EXPIRED, EXPIRED), "voucher v0-1 expired before"),
        ((RESERVED,), "voucher v0-1 was never granted"),
        ((GRANTED, RESERVED, RESERVED), "order o was reserved before"),
        ((GRANTED, CANCELLED), "order o was never reserved"),
        ((GRANTED, RESERVED, CANCELLED, CANCELLED), "order o was cancelled"),
        ((GRANTED, RESERVED, CANCELLED, SETTLED), "order o was cancelled"),
        ((GRANTED, RESERVED, SETTLED, SETTLED), "payment p was settled before"),
        ((GRANTED, REFUNDED), "payment p was never settled"),
        ((GRANTED, RESERVED, SETTLED, REFUNDED, REFUNDED), "refund r was made before"),
        ((GRANTED, RESERVED, EXPIRED), "voucher v0-1 is taken by the orders o and expired"),
    ],
)
def test_events_that_contradict_others_are_named(events: tuple[dict[str, Any], ...], fault: str) -> None:
    assert any(fault in found for found in folded(*events).faults), folded(*events).faults


@pytest.mark.parametrize("restored", [True, False])
def test_a_rebuild_gives_the_discount_back_by_the_refund_that_completed_it_not_by_the_latest(restored: bool) -> None:
    whole = {**REFUNDED["data"], "amount_minor": 60, "voucher_restored": restored}
    part = {**whole, "refund_id": "r2", "amount_minor": 40, "discount_returned_minor": 0, "voucher_restored": False}
    told = [GRANTED, RESERVED, SETTLED, event("payment.refunded", 5, whole), event("payment.refunded", 9, part)]
    moved = list(Movements(Counter(), {"c": 8_889}).of_users(folded(*told), told))
    (returned,) = (transfer for transfer in moved if transfer.debit == ("spent", 0))
    assert returned.cause == Cause("payment.commands", 0, 5)
    assert (returned.credit, returned.amount_minor) == ((("granted", 0) if restored else ("pool", 0)), 800)


def test_duplicates_and_plain_refusals_change_nothing() -> None:
    assert not is_effective(event("voucher.granted", 1, {**GRANTED["data"], "duplicate": True}))
    assert not is_effective(event("voucher.rejected", 1, {**VOUCHER, "reason": "sold_out"}))
    assert not is_effective(event("order.rejected", 1, {**ORDER, "reason": "ended"}))


def test_marks_know_what_is_missing_over_many_chunks() -> None:
    marks = Marks()
    for offset in range(200_000):
        if offset not in (0, 65_535, 65_536, 150_000):
            assert marks.add(offset)
    assert not marks.add(7)
    assert list(marks.unmarked(0, 200_001)) == [0, 65_535, 65_536, 150_000, 200_000]
    assert list(marks.unmarked(65_536, 65_537)) == [65_536]
    assert (marks.count, marks.end) == (199_996, 200_000)


def test_a_line_is_what_copy_writes_and_tells_its_columns() -> None:
    (voucher,) = (table for table in TABLES if table.name == "voucher")
    (line,) = voucher.lines(folded(GRANTED))
    assert line == b"u\\\\\tv0-1\tc\tgranted\t1000\t1\t9\tclaim-1\t\t\t"
    (other,) = voucher.lines(folded(GRANTED, RESERVED))
    assert differing_columns(voucher, line, other) == {"state": ("granted", "held")}


def test_a_spill_gives_back_each_line_of_each_owner_in_order() -> None:
    with Spill(7) as spill:
        for number in range(20_000):
            spill.add(f"user-{number % 50}".encode(), "events", f"{number:06d} a line of some length".encode())
        buckets = [list(spill.lines(bucket, "events")) for bucket in range(spill.buckets)]
        assert list(spill.lines(0, "other")) == []
    assert sorted(line for bucket in buckets for line in bucket) == [
        f"{number:06d} a line of some length".encode() for number in range(20_000)
    ]
    assert all(bucket == sorted(bucket) for bucket in buckets)
    assert [bucket_count(commands) for commands in (0, 20_000, 20_001, 10**12)] == [1, 1, 2, 4_096]


def test_a_users_events_and_rows_lie_in_one_bucket_whatever_the_id() -> None:
    (voucher,) = (table for table in TABLES if table.name == "voucher")
    with Spill(1_000) as spill:
        EventsAside(spill).take(GRANTED, orjson.dumps(GRANTED))
        (line,) = voucher.lines(folded(GRANTED))
        spill.add(line.partition(b"\t")[0], "voucher", line)
        streams = ("voucher.granted", "voucher")
        places = [[bucket for bucket in range(1_000) if list(spill.lines(bucket, stream))] for stream in streams]
    assert places[0] == places[1] != []


class Record:
    """An event at an offset of its topic."""

    def __init__(self, offset: int, cause: int) -> None:
        self._offset = offset
        self._cause = cause

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes:
        return orjson.dumps({"id": f"claim.commands/2/{self._cause}/0"})


class Looks:
    """A topic of events with gaps: every seventh offset is a transaction's marker, some commands are dead letters."""

    def __init__(self, commands: int) -> None:
        causes = [cause for cause in range(commands) if cause % 100 < 90]
        self.records = {cause + place // 6: cause for place, cause in enumerate(causes)}
        self.high = max(self.records) + 2
        self.count = 0

    def record_from(self, place: tuple[str, int], offset: int) -> Record | None:
        assert place == ("claim.events", 2)
        self.count += 1
        found = next((at for at in range(offset, self.high) if at in self.records), None)
        return None if found is None else Record(found, self.records[found])


def test_an_event_is_found_by_few_looks_and_one_that_is_not_there_is_not() -> None:
    for cause in (0, 1, 89, 100, 4_444, 9_989):
        looks = Looks(10_000)
        record: Any = find_event(looks, Cause("claim.commands", 2, cause), Range(0, looks.high))  # type: ignore[arg-type]
        assert looks.records[record.offset()] == cause
        assert looks.count <= 24
    for cause in (95, 9_995, 20_000):
        looks = Looks(10_000)
        assert find_event(looks, Cause("claim.commands", 2, cause), Range(0, looks.high)) is None  # type: ignore[arg-type]
        assert looks.count <= 24


def test_bounds_are_offsets_or_times() -> None:
    assert bound_of("17", "--from") == Bound(offset=17)
    assert bound_of("1970-01-01T00:00:01Z", "--from") == Bound(time_ms=1_000)
    assert bound_of(None, "--from") == Bound()
    assert _partitions("0,3-5") == frozenset([0, 3, 4, 5])
    wrong: list[Callable[[], object]] = [
        lambda: bound_of("soon", "--to"),
        lambda: _partitions("1-"),
        lambda: _partitions(""),
    ]
    with pytest.raises(typer.BadParameter, match="no list of numbers such as 0,3-5, of every topic"):
        _partitions("payment.commands/2")  # as all output names it
    for call in wrong:
        with pytest.raises(typer.BadParameter):
            call()


def test_a_manual_page_has_a_line_a_paragraph() -> None:
    assert manual("One\n    two.\n\n    Three\n    four.\n    ") == "One two.\n\nThree four."


@pytest.mark.parametrize(
    ("count", "title"), [(0, "0 dead letters"), (1, "1 dead letter"), (1_200, "1,200 dead letters")]
)
def test_one_dead_letter_is_told_as_one(count: int, title: str) -> None:
    assert reasons_table(Tally(count=count)).title == title


@pytest.mark.parametrize(
    "verb",
    [
        ["verify"], ["dead-letters", "list"], ["dead-letters", "export", "-"], ["dead-letters", "redrive"],
        ["copy", "--name", "n", "--from-topic", "claim.commands", "--to-topic", "rehearsal.claims"],
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    ("since", "until"), [("2026-02-06T12:04:00Z", "2026-02-06T12:03:00Z"), ("12", "12")]
)  # fmt: skip
def test_a_range_that_ends_before_it_begins_is_usage(
    verb: list[str], since: str, until: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was taken for one in which there is nothing."""
    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("VOUCHER_LEDGER_POSTGRES", "host=127.0.0.1 port=1")
    assert cli.main(["replay", *verb, "--from", since, "--to", until]) == ExitCode.USAGE
    assert f"{since} is not before --to {until}" in " ".join(capsys.readouterr().err.replace("│", " ").split())

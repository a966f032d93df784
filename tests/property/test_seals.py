"""Whatever is done to any record of any history is found, and that record is named; nothing is found where none was."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sealed import NAME, PLACE, History, event, history, judged, letter
from voucher_ledger.replay.seals.decided import Decided
from voucher_ledger.replay.seals.match import EVENTS, LETTERS, Found
from voucher_ledger.replay.seals.report import Fault, SealsReport

# A batch, an offset a character: an event, a dead letter, or no command at all.
batches = st.lists(st.text("eed-", min_size=1, max_size=12), min_size=1, max_size=8)
STEADY = settings(deadline=None, derandomize=True, max_examples=300)


def records_of(made: History, kind: str) -> list[Found]:
    return made.events if kind == EVENTS else made.letters


def content(kind: str, offset: int) -> bytes:
    """What was never sealed."""
    return event(offset, "forged") if kind == EVENTS else letter(offset + 1_000)


@st.composite
def days(draw: st.DrawFn, at_least: int = 1) -> tuple[History, str]:
    """A history, and a kind of which it has enough records."""
    kind = draw(st.sampled_from([EVENTS, LETTERS]))
    made = history(*draw(batches), ("e" if kind == EVENTS else "d") * at_least)
    return made, kind


def faults(report: SealsReport, *allowed: Fault) -> str:
    """All that is said, which must be of the kinds that are allowed and no others."""
    assert set(report.counts) == set(allowed), report.shown
    return " | ".join(text for fault in allowed for text in report.shown[fault])


@given(day=days())
@STEADY
def test_nothing_is_found_in_what_was_not_touched(day: tuple[History, str]) -> None:
    made, kind = day
    report = judged(made.seals, records_of(made, kind), kind)
    assert report.passed, report.shown
    assert report.verified[kind] == len(records_of(made, kind))


@given(day=days(), data=st.data())
@STEADY
def test_a_changed_record_is_named(day: tuple[History, str], data: st.DataObject) -> None:
    made, kind = day
    records = records_of(made, kind)
    place = data.draw(st.integers(0, len(records) - 1))
    changed = replace(records[place], content=content(kind, records[place].offset))
    report = judged(made.seals, [*records[:place], changed, *records[place + 1 :]], kind)
    assert report.counts.total() == 1
    told = faults(report, Fault.CHANGED)
    assert told.startswith(f"{changed.where}, ")
    assert f"{NAME}/{changed.offset}" in told


@given(day=days(), data=st.data())
@STEADY
def test_a_dropped_record_is_named_by_its_command(day: tuple[History, str], data: st.DataObject) -> None:
    made, kind = day
    records = records_of(made, kind)
    place = data.draw(st.integers(0, len(records) - 1))
    report = judged(made.seals, [*records[:place], *records[place + 1 :]], kind)
    assert report.counts.total() == 1
    name = f"event {NAME}/{records[place].offset}/0" if kind == EVENTS else f"letter of {NAME}/{records[place].offset}"
    assert f"{name}: missing" in faults(report, Fault.MISSING)


@given(day=days(), data=st.data())
@STEADY
def test_a_record_that_was_put_in_twice_is_named(day: tuple[History, str], data: st.DataObject) -> None:
    made, kind = day
    records = records_of(made, kind)
    copied = data.draw(st.sampled_from(records))
    place = data.draw(st.integers(records.index(copied) + 1, len(records)))
    twice = replace(copied, where="the copy")
    report = judged(made.seals, [*records[:place], twice, *records[place:]], kind)
    assert report.counts.total() == 1
    assert faults(report, Fault.ADDED).startswith(f"the copy answers {NAME}/{copied.offset} ")


@given(day=days(), data=st.data())
@STEADY
def test_a_record_that_no_seal_knows_is_named(day: tuple[History, str], data: st.DataObject) -> None:
    made, kind = day
    records = records_of(made, kind)
    free = sorted(set(range(made.next_offset)) - {one.offset for one in records})
    offset = data.draw(st.sampled_from(free) if free else st.just(-1))
    added = Found("the forged one", records[0].partition, offset, content(kind, offset))
    place = data.draw(st.integers(0, len(records)))
    report = judged(made.seals, [*records[:place], added, *records[place:]], kind)
    assert report.counts.total() == 1
    assert faults(report, Fault.ADDED).startswith(f"the forged one answers {NAME}/{offset} ")


@given(day=days(at_least=2), data=st.data())
@STEADY
def test_two_records_that_were_swapped_are_named(day: tuple[History, str], data: st.DataObject) -> None:
    made, kind = day
    records = list(records_of(made, kind))
    first, second = sorted(data.draw(st.sets(st.integers(0, len(records) - 1), min_size=2, max_size=2)))
    one, other = records[first], records[second]
    records[first], records[second] = other, one
    told = faults(judged(made.seals, records, kind), Fault.MOVED)
    # All else may seem to lie after the one, or before the other: each of the two is named, and few beside them.
    assert one.where in told
    assert other.where in told


@given(day=days(at_least=3), data=st.data())
@STEADY
def test_a_record_that_was_moved_is_named(day: tuple[History, str], data: st.DataObject) -> None:
    made, kind = day
    records = list(records_of(made, kind))
    place = data.draw(st.integers(0, len(records) - 1))
    moved = records.pop(place)
    to = data.draw(st.integers(0, len(records)).filter(lambda number: number != place))
    records.insert(to, moved)
    report = judged(made.seals, records, kind)
    assert moved.where in faults(report, Fault.MOVED)
    assert report.counts.total() == 1


class Positions:
    """books.position of a ledger that goes on deciding."""

    def __init__(self) -> None:
        self.next_offset = 0

    def execute(self, _query: str) -> list[tuple[str, int, int]]:
        return [(*PLACE, self.next_offset)]


@given(before=batches, since=batches, data=st.data())
@STEADY
def test_what_is_decided_while_it_is_read_raises_no_alarm_and_what_is_forged_does(
    before: list[str], since: list[str], data: st.DataObject
) -> None:
    """A position commits before what it decided is published, however soon a reader sees that."""
    made = history(*before, "e")
    chain = list(made.seals)
    for kinds in since:
        made.add(kinds)
    ends = [one.next_offset for one in made.seals]
    forged_at = data.draw(st.none() | st.integers(0, len(made.events)))
    ledger: Any = Positions()

    def read() -> Iterator[Found]:
        for number, record in enumerate([*made.events, None]):
            if number == forged_at:
                offset = ledger.next_offset + data.draw(st.integers(0, 3))
                yield Found("the forged one", 4, max(offset, chain[-1].next_offset), b"forged")
            if record is not None:
                decided = [end for end in ends if end > record.offset]
                ledger.next_offset = max(ledger.next_offset, data.draw(st.sampled_from(decided)))
                yield record

    report = judged(chain, read(), is_decided=partial(Decided(ledger).covers, PLACE))
    assert report.beyond == sum(one.offset >= chain[-1].next_offset for one in made.events)
    if forged_at is None:
        assert report.passed, report.shown
    else:
        assert report.counts == {Fault.ADDED: 1}
        assert "the forged one answers" in report.shown[Fault.ADDED][0]

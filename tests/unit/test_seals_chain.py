"""The chain of seals by itself, and heads of it that were kept elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest

from tests.unit.sealed import NAME, history, judged, judged_chain
from voucher_ledger.replay.seals.chain import Seal, seal_of
from voucher_ledger.replay.seals.match import EVENTS, LETTERS
from voucher_ledger.replay.seals.report import Fault

BATCHES = ("eee", "e", "-ed-", "--", "ddd", "eeee")


def test_a_chain_is_whole_and_ends_at_the_position() -> None:
    made = history(*BATCHES)
    report = judged_chain(made.seals, made.heads())
    assert report.passed
    assert (report.seals, report.heads_found) == (6, 6)
    (fault,) = judged_chain(made.seals, position=99).shown[Fault.CHAIN]
    assert fault.startswith("claim.commands/4: the chain ends at offset 17 with seal 6, decided is up to 99")


OTHER = sha256(b"other").digest()
CHANGES: dict[str, Callable[[Seal], Seal]] = {
    "kind": lambda one: replace(one, kind="rebuilt"),
    "first_offset": lambda one: replace(one, first_offset=one.first_offset + 1),
    "next_offset": lambda one: replace(one, next_offset=one.next_offset - 1),
    "time": lambda one: replace(one, sealed_at_ms=one.sealed_at_ms + 1),
    "seal": lambda one: replace(one, seal=OTHER),
    "events": lambda one: replace(one, events=replace(one.events, count=one.events.count - 1)),
    "events' digest": lambda one: replace(one, events=replace(one.events, sha256=OTHER)),
    "events' checks": lambda one: replace(one, events=replace(one.events, checks=OTHER[:4])),
    "events' offsets": lambda one: replace(one, events=replace(one.events, offsets=OTHER[:8])),
    "letters": lambda one: replace(one, letters=replace(one.letters, count=one.letters.count + 1)),
    "letters' digest": lambda one: replace(one, letters=replace(one.letters, sha256=OTHER)),
    "letters' checks": lambda one: replace(one, letters=replace(one.letters, checks=OTHER[:4])),
    "letters' offsets": lambda one: replace(one, letters=replace(one.letters, offsets=OTHER[:8])),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_seal_is_named_whatever_was_changed(what: str) -> None:
    seals = history(*BATCHES).seals
    seals[2] = CHANGES[what](seals[2])
    faults = judged_chain(seals).shown[Fault.CHAIN]
    assert any("claim.commands/4 seal 3 " in fault and "was changed" in fault for fault in faults), faults


@pytest.mark.parametrize("kind", [EVENTS, LETTERS])
@pytest.mark.parametrize("kinds", ["ee", "dd", "-ed-", "ddde"])
@pytest.mark.parametrize("what", CHANGES)
def test_records_can_be_matched_with_a_changed_seal(what: str, kinds: str, kind: str) -> None:
    """Whatever its counts, checks and offsets are: what does not fit each other tells of no record."""
    made = history("eeed", kinds, "deee")
    seals = [made.seals[0], CHANGES[what](made.seals[1]), made.seals[2]]
    records = made.events if kind == EVENTS else made.letters
    report = judged(seals, records, kind)
    whole = [one for one in records if not 4 <= one.offset < 4 + len(kinds)]
    assert report.verified[kind] >= len(whole)
    assert all(f"{NAME}/{one.offset} " not in text for one in whole for text in report.shown.get(Fault.ADDED, ()))


def test_a_seal_that_does_not_fit_itself_is_blamed_also_where_it_was_linked_anew() -> None:
    """Or its records could be dropped: it tells of none that may be missed."""
    (seal,) = history("eee").seals
    for changed in (
        replace(seal, next_offset=4),
        replace(seal, events=replace(seal.events, count=2)),
        replace(seal, events=replace(seal.events, offsets=b"")),
        replace(seal, events=replace(seal.events, checks=seal.events.checks[1:])),
    ):
        report = judged_chain([replace(changed, seal=seal_of(bytes(32), changed))])
        assert report.shown == {
            Fault.CHAIN: [
                f"{NAME} seal 1: count, checks and offsets of its events do not fit each other: it was changed"
            ]
        }


def test_a_chain_that_begins_with_a_move_seals_from_where_it_was_moved_to() -> None:
    made = history("-----", "eeee")
    moved = replace(made.seals[0], kind="moved", first_offset=10, next_offset=5)
    seals = [replace(moved, seal=seal_of(bytes(32), moved)), made.seals[1]]
    report = judged(seals, made.events)
    assert (report.passed, report.unsealed, report.verified) == (True, 0, {EVENTS: 4}), report.shown


def test_missing_seals_are_named() -> None:
    seals = history(*BATCHES).seals
    for left, named in [
        (seals[1:], "seals 1 to 1 are missing (offsets the beginning to 3)"),
        (seals[:2] + seals[4:], "seals 3 to 4 are missing (offsets 4 to 10)"),
    ]:
        assert [fault.split(": ")[1] for fault in judged_chain(left).shown[Fault.CHAIN]] == [named]
    # Numbered anew, they do not fit each other.
    closed = [*seals[:2], *(replace(one, number=one.number - 1) for one in seals[3:])]
    assert judged_chain(closed).counts[Fault.CHAIN] > 1


def test_a_head_that_was_kept_must_be_on_the_chain() -> None:
    """Who rewrites all that is in the ledger has a chain that fits itself, and not what was kept elsewhere."""
    kept = history(*BATCHES).heads()
    rewritten = history("eee", "e", "-ee-", "--", "ddd", "eeee")
    assert judged_chain(rewritten.seals).passed
    report = judged_chain(rewritten.seals, kept)
    assert report.counts == {Fault.HEAD: 4}  # from the batch that was changed on
    assert "claim.commands/4 seal 3, up to offset 8, was kept as" in report.shown[Fault.HEAD][0]
    gone = judged_chain(rewritten.seals[:2], kept[-1:])
    assert gone.shown[Fault.HEAD][0].endswith("its chain ends with seal 2")
    assert judged_chain([], kept[-1:], position=0).shown[Fault.HEAD][0].endswith("it has no chain")


def test_what_an_operator_moved_is_on_the_chain_and_told() -> None:
    made = history("eee")
    made.add("--")
    moved = replace(made.seals[1], kind="moved", first_offset=7, next_offset=3)
    seals = [made.seals[0], replace(moved, seal=seal_of(made.seals[0].seal, moved))]
    report = judged_chain(seals)
    assert report.passed
    assert report.notes == ["claim.commands/4 seal 2: an operator moved the position from 7 to 3"]


def test_a_seal_that_does_not_begin_where_the_one_before_it_ends_is_named() -> None:
    """As a batch that is decided after somebody moved the position by hand."""
    made = history("eee", "-e")
    later = replace(made.seals[1], first_offset=4)
    report = judged_chain([made.seals[0], replace(later, seal=seal_of(made.seals[0].seal, later))])
    assert report.shown == {
        Fault.CHAIN: ["claim.commands/4 seal 2 begins at offset 4, the seal before it ends at 3"]
    }  # fmt: skip

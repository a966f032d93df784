"""Seals: their canonical form, what is said of a record, and the file of heads that are kept."""

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson
import pytest
from rich.console import Console

from tests.unit.sealed import PLACE, event, history, judged, letter
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.envelope import encoder
from voucher_ledger.core.records import Command, Event
from voucher_ledger.core.sealing import (
    BETWEEN,
    digest_of_events,
    digest_of_letters,
    letter_digest,
    offset_in,
    unpacked_checks,
    unpacked_offsets,
)
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.seals import heads, match
from voucher_ledger.replay.seals.chain import Head
from voucher_ledger.replay.seals.decided import Decided
from voucher_ledger.replay.seals.match import EVENTS, LETTERS, UNDECIDED, Found
from voucher_ledger.replay.seals.render import show
from voucher_ledger.replay.seals.report import SHOWN_MAX, Fault, SealsReport
from voucher_ledger.replay.seals.verify import asked_heads

BATCHES = ("eee", "e", "-ed-", "--", "ddd", "eeee")


def test_the_form_of_events_is_their_values_in_order() -> None:
    events = [event(5), event(6), event(8)]
    told = digest_of_events(events, BETWEEN.join(events), 5, 9)
    assert told.sha256 == sha256(events[0] + b"\n" + events[1] + b"\n" + events[2]).digest()
    assert told.checks == b"".join(crc32(one).to_bytes(4, "big") for one in events)
    assert told.offsets == b"".join(offset.to_bytes(8, "big") for offset in (5, 6, 8))
    assert list(unpacked_checks(told.checks)) == [crc32(one) for one in events]
    assert list(unpacked_offsets(told.offsets)) == [5, 6, 8]
    # Where one follows the other, the offsets need not be told.
    assert digest_of_events(events[:2], BETWEEN.join(events[:2]), 5, 7).offsets is None
    assert digest_of_events([], b"", 5, 9).sha256 == sha256().digest()


def test_the_offset_of_an_event_is_read_from_what_is_really_encoded() -> None:
    encode = encoder("claims", "claim.commands", 4)
    data = {"user_id": "a/b/c", "detail": "claim.commands/4/9/0"}
    encoded = encode(Event("voucher.granted", data), Command("voucher.claim", "x/7/", data, 4, 123, 1_770_336_000_000))
    assert offset_in(encoded) == 123
    assert orjson.loads(encoded)["time"] == rfc3339(1_770_336_000_000)
    for broken in (b"", b"no event", b'{"id":"claim.commands/4/x/0"}'):
        with pytest.raises(ValueError, match="no event with the id"):
            offset_in(broken)


def test_no_part_of_a_dead_letter_can_become_another() -> None:
    forms = [
        letter_digest(b"ab", b"c", []),
        letter_digest(b"a", b"bc", []),
        letter_digest(None, b"abc", []),
        letter_digest(b"", b"abc", []),
        letter_digest(b"ab", None, []),
        letter_digest(b"ab", b"c", [("x", None)]),
        letter_digest(b"ab", b"c", [("x", b"")]),
        letter_digest(b"ab", b"c", [("", b"x")]),
        letter_digest(b"ab", b"c", [("x", b"1"), ("y", b"2")]),
        letter_digest(b"ab", b"c", [("y", b"2"), ("x", b"1")]),
    ]
    assert len(set(forms)) == len(forms)
    told = digest_of_letters(forms[:2], [7, 9])
    assert (told.count, told.sha256) == (2, sha256(forms[0] + forms[1]).digest())
    assert list(unpacked_offsets(told.offsets or b"")) == [7, 9]


def test_records_as_they_were_sealed_pass() -> None:
    made = history(*BATCHES)
    assert judged(made.seals, made.events).verified == {EVENTS: 9}
    report = judged(made.seals, made.letters, LETTERS)
    assert report.passed
    assert report.verified == {LETTERS: 4}


def test_a_change_that_keeps_the_check_is_found_by_the_digest() -> None:
    made = history("eee", "ee")
    forged = event(1, "rejected")
    digest = made.seals[0].events
    checks = digest.checks[:4] + crc32(forged).to_bytes(4, "big") + digest.checks[8:]
    seals = [replace(made.seals[0], events=replace(digest, checks=checks)), made.seals[1]]
    records = [replace(one, content=forged) if one.offset == 1 else one for one in made.events]
    (fault,) = judged(seals, records).shown[Fault.CHANGED]
    assert fault == (
        "claim.commands/4 seal 1: some of its 3 events (offsets 0 to 3) were changed, and made to fit their checks"
    )


def test_what_is_odd_about_a_record_is_told() -> None:
    made = history("eee")
    records = [replace(one, odd="has headers, which no event has") if one.offset == 1 else one for one in made.events]
    (fault,) = judged(made.seals, records).shown[Fault.CHANGED]
    assert fault == "claim.events/4/2, event claim.commands/4/1/0: has headers, which no event has"


def test_earlier_records_that_were_deleted_are_told_by_number_and_no_fault() -> None:
    made = history("eee", "eee", "eee")
    for left in (made.events[4:], made.events[3:], []):
        report = judged(made.seals, left, deleted=True)
        assert report.passed, report.shown
        assert report.deleted[EVENTS] == 9 - len(left)
        assert report.verified[EVENTS] == len(left) // 3 * 3
        # The digest of the batch that was cut tells nothing any more: what is left of it is told by itself.
        assert report.verified_by_checks[EVENTS] == len(left) % 3
    # What is missing after the first record that is there was not deleted by a retention.
    report = judged(made.seals, [*made.events[4:5], *made.events[6:]], deleted=True)
    assert report.shown[Fault.MISSING] == ["claim.commands/4: event claim.commands/4/5/0: missing"]


def test_what_only_its_own_check_tells_of_is_counted_and_shown_by_itself() -> None:
    made = history("eee", "ee")
    swapped = judged(made.seals, [made.events[1], made.events[0], *made.events[2:]])
    assert (swapped.verified, swapped.verified_by_checks) == ({EVENTS: 2}, {EVENTS: 3})
    cut = judged(made.seals, made.events[1:], deleted=True)
    assert orjson.loads(cut.to_json())["verified_by_checks"] == {EVENTS: 2}
    for report, told in ((cut, True), (judged(made.seals, made.events), False)):
        console = Console(record=True, width=120, file=StringIO())
        show(report, console)
        text = console.export_text()
        assert ("events by their own 32-bit checks only: their batch is not whole" in text) is told
        assert (
            text.splitlines()[-1] == "rows of the ledger are not sealed: `voucher-ledger replay verify` compares them"
        )


def test_what_came_before_the_chain_or_after_it_was_read_is_not_judged() -> None:
    made = history("--", "eee", "ee")
    seals = made.seals[1:]
    records = [Found("claim.events/4/0", 4, 0, event(0)), *made.events]
    assert judged(seals, records).unsealed == 1
    later = Found("claim.events/4/90", 4, 7, event(7))
    report = judged(seals, [*made.events, later], is_decided=range(8).__contains__)
    assert (report.passed, report.beyond) == (True, 1)
    # Unless nobody has decided its command even now, or it lies where only sealed ones may: then it was put there.
    report = judged(seals, [*made.events, later], is_decided=range(7).__contains__)
    assert report.shown == {Fault.ADDED: [f"claim.events/4/90 answers claim.commands/4/7, {UNDECIDED}"]}
    report = judged(seals, [*made.events[:2], later, *made.events[2:]], is_decided=range(7).__contains__)
    assert report.counts == {Fault.ADDED: 1}  # and told once
    report = judged(seals, [*made.events[:2], later, *made.events[2:]], is_decided=range(8).__contains__)
    assert report.shown[Fault.ADDED][0].startswith("claim.events/4/90 answers claim.commands/4/7, and lies before")
    old = Found("claim.events/4/90", 4, 0, event(0))
    report = judged(seals, [*made.events[:2], old, *made.events[2:]])
    assert report.shown[Fault.ADDED][0].startswith("claim.events/4/90 answers claim.commands/4/0 once more, or no seal")


def test_no_command_has_an_offset_below_zero_and_no_place_without_a_position_is_decided() -> None:
    ledger: Any = type("Ledger", (), {"execute": lambda _self, _query: [(*PLACE, 3)]})()
    decided = Decided(ledger)
    assert [decided.covers(PLACE, offset) for offset in (-1, 0, 2, 3)] == [False, True, True, False]
    assert not decided.covers(("claim.commands", 999), 0)


def test_many_faults_are_counted_and_some_are_named() -> None:
    made = history("e" * 100)
    report = judged(made.seals, [replace(one, content=event(one.offset, "x")) for one in made.events])
    assert report.counts == {Fault.CHANGED: 100}
    assert len(report.shown[Fault.CHANGED]) == SHOWN_MAX
    told = orjson.loads(report.to_json())
    assert (told["passed"], told["faults"]["changed"]["count"], told["faults"]["chain"]["count"]) == (False, 100, 0)


def test_batches_that_never_become_whole_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match, "OPEN_BATCHES_MAX", 2)
    made = history(*["ee"] * 6)
    report = judged(made.seals, made.events[::2])
    assert report.counts == {Fault.MISSING: 6}
    assert report.verified[EVENTS] == 0
    assert report.verified_by_checks[EVENTS] == 6


def test_heads_are_kept_in_a_file(tmp_path: Path) -> None:
    kept = history(*BATCHES).heads()
    path = tmp_path / "heads.json"

    def write(**changed: Any) -> Path:
        path.write_bytes(orjson.dumps({**heads.document(kept, datetime(2026, 2, 6, tzinfo=UTC)), **changed}))
        return path

    assert heads.read(write()) == kept
    assert orjson.loads(path.read_bytes())["taken_at"] == "2026-02-06T00:00:00Z"
    assert heads.fingerprint(kept) == heads.fingerprint(kept[::-1]) != heads.fingerprint(kept[1:])
    spoiled: list[tuple[dict[str, Any], str]] = [
        ({"heads": []}, "its heads are not those of its fingerprint"),
        ({"format": "2"}, "the format is '2'"),
        ({"heads": [{"topic": "x"}]}, "holds no heads"),
    ]
    for changed, why in spoiled:
        with pytest.raises(heads.NoHeads, match=why):
            heads.read(write(**changed))
    path.write_text("no JSON", encoding="utf-8")
    with pytest.raises(heads.NoHeads, match="holds no heads"):
        heads.read(path)


def test_a_dead_letter_is_named_as_one() -> None:
    made = history("ded")
    report = judged(made.seals, [made.letters[0], replace(made.letters[1], content=letter(99))], LETTERS)
    assert report.shown[Fault.CHANGED] == ["ledger.dead-letters/0/4, dead letter of claim.commands/4/2: was changed"]


def test_kept_heads_of_other_partitions_than_those_asked_for_are_no_proof() -> None:
    kept = [Head("claim.commands", partition, 1, 1, bytes(32)) for partition in (3, 4)]
    report = SealsReport()
    assert (asked_heads(kept, None, report), report.heads_kept, report.notes) == (kept, 2, [])
    assert (asked_heads(kept, frozenset([3]), report), report.heads_kept) == (kept[:1], 1)
    assert report.notes == ["1 kept heads are of other partitions than these, and were not looked for"]
    assert asked_heads([], frozenset([3]), SealsReport()) == []
    with pytest.raises(Refused, match=r"the kept heads are of partitions \[3, 4\], and none of \[5\]"):
        asked_heads(kept, frozenset([5]), report)

"""Whether a position may be moved, and the outbox rows that a skipped range becomes."""

from dataclasses import replace
from typing import Any

import pytest

from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.reading import Span
from voucher_ledger.replay.seek import skipped
from voucher_ledger.replay.seek.plan import Kind, Standing, plan
from voucher_ledger.replay.seek.skipped import Skipped, shares
from voucher_ledger.runtime.outbox import DeadLetter

STANDING = Standing(
    topic="claim.commands", partition=3, decided=50, committed=50, low=10, high=80, answered=49, moved=-1,
    unpublished=0, outbox_end=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("standing", "to", "kind", "refusal"),
    [
        (STANDING, 51, Kind.FORWARD, None),
        (STANDING, 80, Kind.FORWARD, None),
        (STANDING, 81, Kind.FORWARD, "holds the offsets 10 to 80"),
        (STANDING, 50, Kind.STAY, None),
        (STANDING, 49, Kind.BACK, "offset 49 is answered"),
        (STANDING, 9, Kind.BACK, "holds the offsets 10 to 80"),
        # Moved past what nobody decided: back to the last answer, and no further.
        (replace(STANDING, answered=39), 40, Kind.BACK, None),
        (replace(STANDING, answered=39), 39, Kind.BACK, "offset 39 is answered"),
        # What is decided and not published is an answer too, and so is what moved the books.
        (replace(STANDING, answered=39, outbox_end=50), 40, Kind.BACK, "offset 49 is answered"),
        (replace(STANDING, answered=39, moved=45), 40, Kind.BACK, "offset 45 is answered"),
        # The topic's end was lost: the position lies past it.
        (replace(STANDING, high=45, answered=44), 45, Kind.BACK, None),
        # Restored from a backup: what is not decided here was answered, so whatever were decided next would be again.
        (replace(STANDING, committed=61, answered=60), 50, Kind.STAY, "offset 60 is answered, but decided is only"),
        (replace(STANDING, committed=61, answered=60), 61, Kind.FORWARD, "never seek"),
        (replace(STANDING, committed=51, answered=50), 50, Kind.STAY, "offset 50 is answered, but decided is only"),
        (replace(STANDING, answered=60), 40, Kind.BACK, "never seek"),
        (replace(STANDING, answered=79), 50, Kind.STAY, "this ledger is older than"),
        # No older ledger explains an answer to a command that is not there.
        (replace(STANDING, answered=80), 50, Kind.STAY, "the topic ends at 80: no command lies there"),
        (replace(STANDING, answered=900_000), 51, Kind.FORWARD, "Tampering is suspected"),
        (replace(STANDING, alive=("group member claims-0",)), 51, Kind.FORWARD, "somebody may be deciding"),
    ],
)
def test_what_may_be_moved(standing: Standing, to: int, kind: Kind, refusal: str | None) -> None:
    made = plan(standing, to)
    assert made.kind is kind
    assert (made.refusal is None) if refusal is None else (refusal in str(made.refusal))
    # What was found is told anyway; steps that are refused rest on what is not so.
    found, *steps = made.steps
    assert f"decided up to {standing.decided}, the group's offset is {standing.committed}" in found
    assert bool(steps) is (refusal is None)


def letters(*offsets: int) -> list[DeadLetter]:
    return [DeadLetter(3, offset, b"key", b"value", [], "skipped") for offset in offsets]


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([], [(50, 60)]),
        ([50, 51, 55], [(50, 52), (52, 60)]),
        ([52, 53, 54, 57, 59], [(50, 54), (54, 58), (58, 60)]),
    ],
)
def test_a_skipped_range_is_covered_without_a_gap(
    monkeypatch: pytest.MonkeyPatch, offsets: list[int], expected: list[tuple[int, int]]
) -> None:
    monkeypatch.setattr(skipped, "_LETTERS_A_SHARE_MAX", 2)
    made = shares(Skipped(letters(*offsets)), 3, 50, 60)
    assert [(share.first_offset, share.next_offset) for share in made] == expected
    assert [letter.offset for share in made for letter in share.dead_letters] == offsets


def test_what_would_be_skipped_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Record:
        def timestamp(self) -> tuple[int, int]:
            return (1, 1_000)

    monkeypatch.setattr(skipped, "dead_letter", lambda _record, _reason: letters(50)[0])
    monkeypatch.setattr(skipped, "SKIPPED_BYTES_MAX", 2 * len(b"key" + b"value"))
    record = Record()
    nothing: Any = None
    monkeypatch.setattr(skipped, "records", lambda *_: [record] * 3)
    with pytest.raises(Refused, match="more than 16 bytes would be skipped: do it in parts"):
        skipped.read_skipped(nothing, Span("claim.commands", 3, 50, 53), "why", 10)
    monkeypatch.setattr(skipped, "records", lambda *_: [record] * 2)
    found = skipped.read_skipped(nothing, Span("claim.commands", 3, 50, 52), "why", 10)
    assert (len(found.letters), found.time_ms) == (2, 1_000)

"""How far a rehearsal was copied: told by the copies, and refused where they are of another range."""

from typing import Any

import pytest

from voucher_ledger.replay.copying import progress
from voucher_ledger.replay.copying.pairs import Pair
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.reading import Span
from voucher_ledger.runtime.settings import Settings


@pytest.mark.parametrize(
    ("originals", "copies", "missed"),
    [
        ([], [], None),
        ([3, 5], [3, 5], None),  # a transaction's marker lies between
        ([3, 5], [3, 4, 5], None),
        ([3, 5], [5], 3),
        ([3, 5], [3], 5),
        ([3, 5, 9], [3, 9], 5),
        ([3], [], 3),
    ],
)
def test_a_record_without_a_copy_is_found(originals: list[int], copies: list[int], missed: int | None) -> None:
    assert progress.first_missed(originals, copies) == missed


class Night:
    """A record of night/0, copied to rehearsal/0 or not."""

    def __init__(self, offset: int, *headers: tuple[str, bytes]) -> None:
        self.offset = lambda: offset
        self.headers = lambda: list(headers)


@pytest.mark.parametrize(
    ("start", "end", "low", "missed"),
    [
        (10, 20, 0, None),
        (12, 18, 0, None),
        (0, 10, 0, 0),  # the copies are of a later range
        (0, 20, 0, 0),
        (10, 31, 0, 20),  # they are of two ranges, and this one spans the gap
        (8, 20, 0, 8),
        (0, 20, 7, None),  # the target's first copies were deleted: whether there were any, no one can tell
        (0, 10, 7, None),
    ],
)
def test_a_range_that_was_not_copied_is_refused_though_the_name_has_later_copies(
    start: int, end: int, low: int, missed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told as copied: 0 records, exit code 0."""
    here, there = Settings(kafka="here", postgres="nowhere"), Settings(kafka="there", postgres="nowhere")
    name = ("rehearsal", b"night")
    copied = [*range(10, 20), *range(30, 40)]
    held = [Night(offset, name, ("rehearsal_source", f"night/0/{offset}".encode())) for offset in copied]

    def records(settings: Settings, parts: list[Span]) -> Any:
        (part,) = parts
        if settings is there:
            return iter([Night(0), *held])
        # What is a copy itself is left out, and so is missing nowhere.
        return iter([Night(offset, *([name] if offset == 9 else [])) for offset in range(part.start, part.end)])

    monkeypatch.setattr(progress, "records", records)
    monkeypatch.setattr(progress, "spans", lambda *_: [Span("rehearsal", 0, low, 50)])
    asked = (here, there, Pair("night", "rehearsal"), Span("night", 0, start, end), "night")
    if missed is None:
        progress.refuse_holes(*asked)
        return
    with pytest.raises(Refused, match=rf"offsets after night/0/{missed}, .* another --name"):
        progress.refuse_holes(*asked)

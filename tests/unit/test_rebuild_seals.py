"""The seals of a rebuilt ledger: without a gap, and of just what was read, whatever was in between."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.sealed import NAME, PLACE, event, letter
from voucher_ledger.core.sealing import BETWEEN, digest_of_events, digest_of_letters
from voucher_ledger.replay import rebuild_seals
from voucher_ledger.replay.rebuild_seals import OutOfOrder, SealsAside
from voucher_ledger.replay.spill import Spill

WINDOW = 5


@given(
    kinds=st.text("ed-", max_size=40), first=st.integers(0, 12), more=st.integers(0, 12), backwards=st.booleans(),
    deleted=st.integers(0, 60),
)  # fmt: skip
@settings(deadline=None, derandomize=True)
def test_seals_cover_all_offsets_once(kinds: str, first: int, more: int, backwards: bool, deleted: int) -> None:
    """`deleted` commands, answered or not, are not on their topic any more; their answers are sealed all the same."""
    events = [first + place for place, kind in enumerate(kinds) if kind == "e"]
    letters = [first + place for place, kind in enumerate(kinds) if kind == "d"]
    end = first + len(kinds) + more
    with pytest.MonkeyPatch.context() as smaller, Spill(3) as spill:
        smaller.setattr(rebuild_seals, "OFFSETS_A_SEAL", WINDOW)
        aside = SealsAside(spill)
        for offset in events:
            aside.take_event(PLACE, offset, event(offset))
        for offset in letters[::-1] if backwards else letters:
            aside.take_letter(PLACE, offset, letter(offset))
        low = min(first + deleted, end)
        made = list(aside.sealed(PLACE, low, end))
        assert list(aside.sealed(("claim.commands", 5), 3, 3)) == []
    expected = min([low, *events, *letters])
    for seal in made:
        assert seal.first_offset == expected < seal.next_offset
        expected = seal.next_offset
        within = range(seal.first_offset, seal.next_offset)
        values = [event(offset) for offset in events if offset in within]
        assert seal.events == digest_of_events(values, BETWEEN.join(values), seal.first_offset, seal.next_offset)
        own = [offset for offset in letters if offset in within]
        if own:
            assert seal.letters == digest_of_letters([letter(offset) for offset in own], own)
        assert seal.letters.count == len(own)
    assert expected == end


def test_events_out_of_order_are_refused() -> None:
    with Spill(1) as spill:
        aside = SealsAside(spill)
        aside.take_event(PLACE, 7, event(7))
        for offset in (7, 3):
            with pytest.raises(OutOfOrder, match=f"{NAME}/{offset}"):
                aside.take_event(PLACE, offset, event(offset))
        aside.take_event(PLACE, 12_000, event(12_000))
        with pytest.raises(OutOfOrder):
            aside.take_event(PLACE, 8, event(8))

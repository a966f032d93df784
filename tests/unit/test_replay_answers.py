"""Which records are answers at all, and what is kept of those to commands that were not decided when it was looked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voucher_ledger.replay.answers import Answers
from voucher_ledger.replay.beyond import Beyond, BeyondAnswer

COMMANDS = ("claim.commands", 0)
EVENTS = ("claim.events", 0)
GRANTED: dict[str, Any] = {"id": "claim.commands/0/1/0", "type": "voucher.granted", "data": {"user_id": "u"}}


def test_what_lies_beyond_the_position_is_kept_until_it_is_known_what_was_decided_since() -> None:
    answers = Answers({COMMANDS: (0, 1)})
    assert not answers.take_event(GRANTED, EVENTS, 5)  # of offset 1
    assert answers.report.passed
    assert answers.beyond.greatest() == {COMMANDS: 1}
    assert list(answers.beyond.undecided({COMMANDS: 2})) == []
    assert list(answers.beyond.undecided({COMMANDS: 1})) == [(COMMANDS, BeyondAnswer(1, EVENTS, 5))]
    assert list(answers.beyond.undecided({})) == [(COMMANDS, BeyondAnswer(1, EVENTS, 5))], "there is no position"


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(0, 60))
def test_of_what_lies_beyond_none_that_is_undecided_is_forgotten_while_it_fits(
    offsets: list[int], next_offset: int
) -> None:
    with pytest.MonkeyPatch.context() as smaller:
        smaller.setattr("voucher_ledger.replay.beyond.KEPT_MAX", 10)
        beyond = Beyond()
        for at, offset in enumerate(offsets):
            beyond.add(COMMANDS, BeyondAnswer(offset, EVENTS, at))
    undecided = sorted(offset for offset in offsets if offset >= next_offset)
    assert [answer.offset for _, answer in beyond.undecided({COMMANDS: next_offset})] == undecided[-10:]


@pytest.mark.parametrize(
    "id_",
    [
        "claim.commands/0/-3/0",
        "claim.commands/0/1/1",
        "claim.commands/0/01/0",
        f"claim.commands/0/{2**62}/0",
        "c/0/1_0/0",
    ],
)
def test_an_id_that_no_processor_writes_is_no_answer(id_: str) -> None:
    answers = Answers({COMMANDS: (0, 10)})
    with pytest.raises(ValueError, match=r"index is 0|is no offset"):
        answers.take_event({**GRANTED, "id": id_}, EVENTS, 5)
    assert answers.marks[COMMANDS].count == 0


@pytest.mark.parametrize("offset", [b"-3", b"+3", b"x", b"\xff"])
def test_a_dead_letter_of_no_offset_is_blamed(offset: bytes) -> None:
    answers = Answers({COMMANDS: (0, 10)})
    headers = {"dlq_topic": b"claim.commands", "dlq_partition": b"0", "dlq_offset": offset, "dlq_error": b"x"}
    assert answers.take_dead_letter(headers, ("ledger.dead-letters", 0), 7) is None
    assert answers.report.faults == ["ledger.dead-letters/0/7 does not say which record it holds"]

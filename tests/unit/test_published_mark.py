"""What is published is told by the processors' own answers: rubbish beside them answers nothing, and stops nobody."""

from typing import Any

import pytest

from voucher_ledger.runtime import published_mark


class Record:
    def __init__(self, value: bytes | None = None, headers: dict[str, bytes | None] | None = None) -> None:
        self.value = lambda: value
        self.headers = lambda: list((headers or {}).items())


@pytest.mark.parametrize(
    ("value", "offset"),
    [
        (b'{"id":"claim.commands/3/41/0"}', 41),
        (b'{"id":"claim.commands/4/41/0"}', None),
        (b'{"id":"claim.commands/3/forged/0"}', None),
        (b'{"id":"claim.commands/3/' + b"9" * 5_000 + b'"}', None),
        (b'{"id":3}', None),
        (b"[1]", None),
        (b"rubbish", None),
        (b"\xff", None),
        (None, None),
    ],
)
def test_an_event_answers_the_offset_in_its_id(value: bytes | None, offset: int | None) -> None:
    record: Any = Record(value)
    assert published_mark._event_cause(record, "claim.commands/3/") == offset


@pytest.mark.parametrize(
    ("changed", "offset"),
    [
        ({}, 41),
        ({"dlq_partition": b"4"}, None),
        ({"dlq_offset": b"-41"}, None),
        ({"dlq_offset": b"\xff"}, None),
        ({"dlq_offset": None}, None),
    ],
)
def test_a_dead_letter_answers_the_offset_in_its_headers(changed: dict[str, bytes | None], offset: int | None) -> None:
    whole: dict[str, bytes | None] = {"dlq_topic": b"claim.commands", "dlq_partition": b"3", "dlq_offset": b"41"}
    record: Any = Record(headers={**whole, **changed})
    assert published_mark._dead_letter_cause(record, "claim.commands", 3) == offset

"""A record with a header whose name is not UTF-8, which the Python client can't read, crashes no reader of records."""

from typing import Any

import orjson
import pytest

from tests.unit.sealed import NAME, event
from voucher_ledger.produce.answers import answer_in
from voucher_ledger.replay import rebuild_source
from voucher_ledger.replay.answers import Answers
from voucher_ledger.replay.dead_letters.choice import Verdict, verdict
from voucher_ledger.replay.dead_letters.letters import UNREADABLE, letter
from voucher_ledger.replay.events_aside import EventsAside
from voucher_ledger.replay.rebuild_seals import SealsAside
from voucher_ledger.replay.rebuild_source import Source
from voucher_ledger.replay.seals import verify
from voucher_ledger.replay.spill import Spill
from voucher_ledger.runtime import published_mark
from voucher_ledger.runtime.incoming import readable_headers


class Unreadable:
    """As confluent_kafka gives it: it fails once, and from then on answers a list that must not be touched."""

    def __init__(self, topic: str = "ledger.dead-letters", value: bytes = b"x") -> None:
        self._headers: list[tuple[str, bytes | None]] | None = None
        self._asked = False
        self.topic = lambda: topic
        self.partition = lambda: 2
        self.offset = lambda: 7
        self.key = lambda: b"u"
        self.value = lambda: value
        self.timestamp = lambda: (1, 1_000)

    def headers(self) -> list[tuple[str, bytes | None]]:
        if self._headers is None:
            assert not self._asked, "the list with a hole was touched"
            self._asked = True
            raise SystemError("error return without exception set")
        return self._headers

    def set_headers(self, headers: list[tuple[str, bytes | None]]) -> None:
        self._headers = headers


def unreadable(*told: Any) -> Any:
    return Unreadable(*told)


def test_what_can_not_be_read_is_told_from_no_headers_however_often_it_is_asked() -> None:
    record = unreadable()
    assert [readable_headers(record) for _ in range(3)] == [None] * 3
    record.set_headers([])
    assert readable_headers(record) == []


def test_a_dead_letter_is_one_of_unknown_origin_which_nobody_drives() -> None:
    found = letter(unreadable())
    assert (found.place, found.cause, found.headers, found.error) == ((2, 7), "unknown", (), UNREADABLE)
    assert verdict(found, None) is Verdict.NO_COMMAND_TOPIC


def test_it_answers_no_command() -> None:
    assert answer_in(unreadable()) is None
    assert published_mark._dead_letter_cause(unreadable(), "claim.commands", 2) is None


def test_a_rebuild_blames_it() -> None:
    with Spill(1) as spill:
        source = Source(EventsAside(spill), SealsAside(spill), Answers({}), {}, {})
        rebuild_source._take(source, unreadable())
    assert source.answers.report.faults == ["ledger.dead-letters/2/7 does not say which record it holds"]


def test_the_seals_blame_it() -> None:
    with pytest.raises(ValueError, match="headers"):
        verify._letter(unreadable(), "ledger.dead-letters/2/7")
    value = orjson.dumps({**orjson.loads(event(3)), "data": {"user_id": "u"}})
    place, found = verify._event(unreadable("claim.events", value), "claim.events/2/7", "claim.commands")
    assert (place, found.offset, found.odd) == (("claim.commands", 4), 3, "has headers, which no event has")
    assert f"{place[0]}/{place[1]}" == NAME

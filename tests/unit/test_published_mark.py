"""What is published is told by the processors' own answers: rubbish beside them answers nothing, and stops nobody."""

from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from voucher_ledger.runtime import published_mark, settings
from voucher_ledger.runtime.errors import SessionLost
from voucher_ledger.runtime.outbox import Share


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


@pytest.mark.parametrize(("answered", "mark"), [(9, 10), (10, 11), (11, 15), (14, 15), (15, 16), (99, 16)])
def test_a_row_is_published_whole_or_not_at_all(answered: int, mark: int) -> None:
    rows = [Share(3, 10, 11), Share(3, 11, 15), Share(3, 15, 16)]
    assert published_mark.published_mark(rows, answered) == mark


class Refusing:
    """A cluster that is at an election."""

    def list_offsets(self, asked: dict[Any, Any], **_: Any) -> dict[Any, Future[Any]]:
        refused: Future[Any] = Future()
        refused.set_exception(KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)))
        return dict.fromkeys(asked, refused)


class Failing:
    """A reader that fails before the end: what it has not read may be published."""

    def assign(self, _places: Any) -> None:
        pass

    def poll(self, _seconds: float) -> Any:
        record: Any = Record()
        record.error = lambda: KafkaError(KafkaError._TRANSPORT)
        return record

    def close(self) -> None:
        pass


NOWHERE = settings.load({"VOUCHER_LEDGER_KAFKA": "127.0.0.1:1", "VOUCHER_LEDGER_POSTGRES": "host=127.0.0.1 port=1"})


def test_what_cannot_be_asked_or_read_is_never_taken_for_unpublished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_mark, "AdminClient", lambda _configuration: Refusing())
    with pytest.raises(SessionLost, match=r"offsets of claim\.events/3"):
        published_mark.last_answered(NOWHERE, "claim.commands", 3, "claim.events", 8)
    monkeypatch.setattr(published_mark, "_settled_range", lambda *_: (0, 9))
    monkeypatch.setattr(published_mark, "Consumer", lambda _configuration: Failing())
    with pytest.raises(SessionLost, match=r"claim\.events/3 from 0 to 9"):
        published_mark.last_answered(NOWHERE, "claim.commands", 3, "claim.events", 8)

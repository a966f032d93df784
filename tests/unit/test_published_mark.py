"""What is published is told by the processors' own answers: rubbish beside them answers nothing, and stops nobody."""

from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import IsolationLevel, KafkaError, KafkaException
from confluent_kafka.admin import OffsetSpec

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


class Partition:
    """A partition to which others write between any two requests; `ends` tells its end and its last stable offset when
    it is asked for the n-th time. Its clock moves only while somebody waits.
    """

    def __init__(self, ends: Callable[[int], tuple[int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
        self._ends = ends
        self.asked = 0
        self.waited_seconds = 0.0
        monkeypatch.setattr(published_mark, "AdminClient", lambda _configuration: self)
        clock = SimpleNamespace(monotonic=lambda: self.waited_seconds, sleep=self._wait)
        monkeypatch.setattr(published_mark, "time", clock)

    def _wait(self, seconds: float) -> None:
        self.waited_seconds += seconds

    def list_offsets(self, asked: dict[Any, Any], *, isolation_level: IsolationLevel, **_: Any) -> dict[Any, Any]:
        (spec,) = asked.values()
        if isinstance(spec, type(OffsetSpec.earliest())):
            end = 0
        else:
            self.asked += 1
            end = self._ends(self.asked)[isolation_level == IsolationLevel.READ_COMMITTED]
        return {place: SimpleNamespace(result=lambda _seconds: SimpleNamespace(offset=end)) for place in asked}


@pytest.mark.parametrize("held_back", [0, 5])
def test_a_partition_that_is_written_all_the_time_is_settled_soon(
    held_back: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No transaction is open for longer than a few requests; at any of them one is."""
    busy = Partition(lambda number: (1_000 + 3 * number, 1_000 + 3 * number - held_back), monkeypatch)
    low, end = published_mark._settled_range(NOWHERE, "claim.events", 3)
    assert low == 0
    assert 1_003 < end <= 1_000 + 3 * busy.asked
    assert busy.waited_seconds < 2


def test_what_a_transaction_of_the_first_look_wrote_behind_that_end_is_read_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of 8 to 14, open at the first look, ends with its marker at 15; another that began at 12 still hides that."""
    seen = [(10, 8), (13, 8), (16, 12), (16, 12), (16, 12), (20, 20)]
    Partition(lambda number: seen[min(number, len(seen)) - 1], monkeypatch)
    assert published_mark._settled_range(NOWHERE, "ledger.dead-letters", 3) == (0, 16)


def test_a_transaction_that_stays_open_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = Partition(lambda number: (1_000 + number, 999), monkeypatch)
    with pytest.raises(SessionLost, match=r"a transaction stays open on claim\.events/3"):
        published_mark._settled_range(NOWHERE, "claim.events", 3)
    assert stuck.waited_seconds > published_mark.OPEN_TRANSACTION_SECONDS_MAX

"""Bounds that nothing else would miss: times of records, waits, windows, margins."""

import queue
import time
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, TopicPartition

from tests.unit.test_campaigns_decide import OPEN
from voucher_ledger.campaigns.rules import opened_rules
from voucher_ledger.core.records import Command
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.metrics.observer import Observer
from voucher_ledger.runtime import published_mark
from voucher_ledger.runtime.errors import SessionLost
from voucher_ledger.runtime.incoming import RECORD_TIME_MS_MAX, incoming
from voucher_ledger.runtime.outbox import DeadLetter
from voucher_ledger.runtime.publisher import PUBLISH_SECONDS_MAX, Publisher
from voucher_ledger.sweeper import loop

CLAIM = {
    "specversion": "1.0", "id": "c-1", "source": "test", "type": "voucher.claim", "time": "2026-02-06T00:00:00Z",
    "data": {"campaign_id": "grey", "user_id": "ana"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("time_ms", "kind"),
    [(-1, DeadLetter), (0, Command), (RECORD_TIME_MS_MAX, Command), (RECORD_TIME_MS_MAX + 1, DeadLetter)],
)
def test_a_record_s_time_is_one_that_can_be_written(time_ms: int, kind: type) -> None:
    """What follows from it, a year later at most, must be a time of four digits' years."""
    record: Any = SimpleNamespace(
        timestamp=lambda: (TIMESTAMP_LOG_APPEND_TIME, time_ms), key=lambda: b"ana", value=lambda: orjson.dumps(CLAIM),
        headers=list, partition=lambda: 0, offset=lambda: 7,
    )  # fmt: skip
    assert isinstance(incoming(record, 0, 7, CommandDecoder("claim.commands")), kind)


def test_a_tranche_of_nothing_is_none() -> None:
    parts = [{"at": "2026-02-06T00:10:00Z", "quota": 0}, {"at": "2026-02-06T00:00:00Z", "quota": 50_000}]
    rules = opened_rules({**OPEN, "release": parts})
    assert [quota for _, quota in rules.tranches] == [50_000]


def publisher_of(*, began_seconds: float | None = None) -> Any:
    """One with room for a batch, and requests of a second at most."""
    publisher: Any = Publisher.__new__(Publisher)
    publisher._queue, publisher._observer, publisher._failure = queue.Queue(1), Observer(), None
    publisher._request_seconds, publisher._transaction_began_seconds = 1.0, began_seconds
    return publisher


def test_a_batch_waits_for_its_place_in_the_queue_within_a_bound() -> None:
    publisher = publisher_of()
    publisher.submit([])
    with pytest.raises(SessionLost, match="nothing was published for 0 s"):
        publisher.submit([], wait_seconds_max=0)


def test_a_transaction_that_does_not_end_is_told_while_the_loop_turns() -> None:
    now_seconds = time.monotonic()
    publisher_of(began_seconds=now_seconds).check()
    with pytest.raises(SessionLost, match="a transaction has not ended for 60 s"):
        publisher_of(began_seconds=now_seconds - PUBLISH_SECONDS_MAX - 1).check()


def test_a_tail_without_an_answer_is_read_in_windows_that_double(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[int] = []

    def greatest(_settings: Any, start: TopicPartition, *_named: Any) -> int:
        starts.append(start.offset)
        return -1

    tail, end = published_mark.TAIL_RECORDS, 10 * published_mark.TAIL_RECORDS
    monkeypatch.setattr(published_mark, "_settled_range", lambda *_: (5, end))
    monkeypatch.setattr(published_mark, "_greatest", greatest)
    nowhere: Any = None
    assert published_mark.last_cause(nowhere, "claim.events", 0, lambda _: None) == -1
    assert starts == [end - tail, end - 2 * tail, end - 4 * tail, end - 8 * tail, 5]


def test_a_command_that_the_broker_stamps_is_sent_a_margin_after_its_row_is_due() -> None:
    """The broker's clock may be behind ours: the command's own time must not be before the expiry."""
    sweep: Any = loop.Sweep.__new__(loop.Sweep)
    sweep._by_broker = {loop.CLAIM_TOPIC: True, loop.ORDER_TOPIC: False}
    sweep._store = SimpleNamespace(record_time_ms=lambda: 1_000)
    before_ms = time.time_ns() // 1_000_000
    sent_ms, due_ms = sweep._times_ms(loop.CLAIM_TOPIC)
    assert sent_ms >= before_ms
    assert sent_ms - due_ms == loop.CLOCK_MARGIN_MS > 0
    assert sweep._times_ms(loop.ORDER_TOPIC) == (1_000, 1_000)

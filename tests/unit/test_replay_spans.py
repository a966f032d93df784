"""Which part of a topic is read: `--to` fixes where it ends, whatever is written meanwhile."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from voucher_ledger.replay import reading
from voucher_ledger.replay.bounds import UNBOUNDED, Bound
from voucher_ledger.replay.reading import Span, spans
from voucher_ledger.runtime.settings import Settings


class Topic:
    """One partition; the times of its records in ms."""

    def __init__(self) -> None:
        self.times_ms = [1_000, 2_000, 3_000]

    def get_watermark_offsets(self, _place: TopicPartition, _seconds: float) -> tuple[int, int]:
        return 0, len(self.times_ms)

    def offsets_for_times(self, places: list[TopicPartition], timeout: float) -> list[Any]:
        found = [offset for offset, at_ms in enumerate(self.times_ms) if at_ms >= places[0].offset]
        return [SimpleNamespace(offset=found[0] if found else -1, error=None, timeout=timeout)]

    def close(self) -> None:
        pass


def test_to_fixes_the_ends_while_records_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = Topic()
    monkeypatch.setattr(reading, "open_reader", lambda _settings: topic)
    known = {"claim.commands": SimpleNamespace(partitions={0: None})}
    monkeypatch.setattr(reading, "known_topics", lambda *_: known)
    settings = Settings(kafka="nowhere", postgres="dbname=ledger")

    def ends(until: Bound) -> list[Span]:
        return spans(settings, "claim.commands", None, UNBOUNDED, until)

    # Within the topic, on the moment of its last record, and past all that is in it by now.
    moments = [Bound(time_ms=time_ms) for time_ms in (2_500, 3_000, 3_500)]
    before = [ends(until) for until in moments]
    assert [part.end for parts in before for part in parts] == [2, 2, 3]
    topic.times_ms += [4_000, 5_000]
    assert [ends(until) for until in moments] == before
    assert [part.end for part in ends(UNBOUNDED)] == [5]

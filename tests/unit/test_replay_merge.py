"""Records of several partitions in the order of their times, whatever order Kafka hands them out in."""

from collections import deque
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voucher_ledger.replay.copying import merge
from voucher_ledger.replay.copying.merge import Merge
from voucher_ledger.replay.errors import Unread
from voucher_ledger.replay.reading import Span
from voucher_ledger.runtime.settings import Settings

NOWHERE = Settings(kafka="nowhere", postgres="nowhere")


class Fake:
    """A record, or the end of its partition."""

    def __init__(self, partition: int, offset: int, time_ms: int, error: KafkaError | None = None) -> None:
        self._place, self._time_ms, self._error = (partition, offset), time_ms, error

    def topic(self) -> str:
        return "night"

    def partition(self) -> int:
        return self._place[0]

    def offset(self) -> int:
        return self._place[1]

    def timestamp(self) -> tuple[int, int]:
        return (1, self._time_ms)

    def error(self) -> KafkaError | None:
        return self._error


class FakeConsumer:
    """Hands out each partition's records in chunks, the one asked last first; a paused one rests."""

    def __init__(self, held: list[list[Fake]], chunk: int) -> None:
        self._held = [deque(records) for records in held]
        self._chunk = chunk
        self._paused: set[int] = set()
        self.closed = False

    def assign(self, _places: list[TopicPartition]) -> None:
        self._held.reverse()

    def pause(self, places: list[TopicPartition]) -> None:
        self._paused |= {place.partition for place in places}

    def resume(self, places: list[TopicPartition]) -> None:
        self._paused -= {place.partition for place in places}

    def consume(self, _count: int, _seconds: float) -> list[Fake]:
        for held in self._held:
            if held and held[0].partition() not in self._paused:
                return [held.popleft() for _ in range(min(self._chunk, len(held)))]
        return []

    def close(self) -> None:
        self.closed = True


def greedy(held: list[list[int]]) -> list[tuple[int, int]]:
    """The order by hand: always the partition whose next record is the oldest, the first of them on a tie."""
    left = [deque(enumerate(times)) for times in held]
    found: list[tuple[int, int]] = []
    while any(left):
        place = min((queue[0][1], number) for number, queue in enumerate(left) if queue)[1]
        found.append((place, left[place].popleft()[0]))
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(st.integers(0, 10**6), max_size=12, unique=True), min_size=1, max_size=4),
    st.integers(1, 5),
    st.integers(1, 4),
    st.booleans(),
)
def test_records_come_in_the_order_of_their_times(
    monkeypatch: pytest.MonkeyPatch, times: list[list[int]], chunk: int, buffered_max: int, ties: bool
) -> None:
    # Few times, so that there are many ties.
    held = [[time % 5 for time in own] if ties else own for own in times]
    end = KafkaError(KafkaError._PARTITION_EOF)
    consumer = FakeConsumer(
        [
            [*(Fake(number, offset, time) for offset, time in enumerate(own)), Fake(number, len(own), 0, end)]
            for number, own in enumerate(held)
        ],
        chunk,
    )
    monkeypatch.setattr(merge, "open_reader", lambda _settings: consumer)
    monkeypatch.setattr(merge, "BUFFERED_MAX", buffered_max)
    parts = [Span("night", number, 0, len(own)) for number, own in enumerate(held) if own]
    found: list[Any] = list(Merge(NOWHERE, parts))
    assert [(record.partition(), record.offset()) for _, record in found] == greedy(held)
    assert [time_ms for time_ms, _ in found] == sorted(time_ms for time_ms, _ in found)
    assert consumer.closed is bool(parts)


def test_a_partition_that_is_ahead_waits_with_no_more_than_it_may_hold_and_then_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kafka hands out the later partition first: all of it would lie in memory until the other one comes."""
    end = KafkaError(KafkaError._PARTITION_EOF)
    count, chunk, buffered_max = 40, 3, 8
    held = [
        [*(Fake(number, offset, 1_000 * number + offset) for offset in range(count)), Fake(number, count, 0, end)]
        for number in range(2)
    ]
    consumer = FakeConsumer(held, chunk)
    monkeypatch.setattr(merge, "open_reader", lambda _settings: consumer)
    monkeypatch.setattr(merge, "BUFFERED_MAX", buffered_max)
    merged = Merge(NOWHERE, [Span("night", number, 0, count) for number in range(2)])
    most = 0
    found: list[Any] = []
    for _, record in merged:
        found.append(record)
        most = max(most, len(merged._buffers["night", 1]))
    assert [(record.partition(), record.offset()) for record in found] == [
        (number, offset) for number in range(2) for offset in range(count)
    ]
    assert buffered_max <= most < buffered_max + chunk


def test_a_topic_that_falls_silent_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "open_reader", lambda _settings: FakeConsumer([], 1))
    monkeypatch.setattr(merge, "SILENCE_SECONDS_MAX", 0.0)
    with pytest.raises(Unread, match="nothing came"):
        list(Merge(NOWHERE, [Span("night", 0, 0, 1)]))

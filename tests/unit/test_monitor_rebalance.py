"""What a rebalance of the monitor's group leaves of the demand that was counted and not written yet."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from faust.types import TP

from tests.unit.demand_given import record, row
from voucher_ledger.core.demand import DEMAND_TOPIC
from voucher_ledger.monitor import faust_app
from voucher_ledger.monitor.buckets import count_of
from voucher_ledger.monitor.store import place_of
from voucher_ledger.runtime import topics


class Table:
    """As Faust's table in memory: `data` outlives a rebalance, and the changelog is what another start reads."""

    def __init__(self, changelog: dict[str, bytes]) -> None:
        self.changelog = changelog
        self.data = {key: orjson.loads(value) for key, value in changelog.items()}
        self.on_recover = Mock()

    def send_changelog(self, _partition: int, key: str, value: Any, **_: Any) -> None:
        self.changelog[key] = orjson.dumps(value)


class Process:
    """A monitor's process that reads the partitions 0 and 1, over a changelog; Faust is this test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, changelog: dict[str, bytes]) -> None:
        self.table, faust = Table(changelog), Mock()
        faust.Table.return_value = self.table
        self.assignment = faust.consumer.assignment
        monkeypatch.setattr(faust_app, "_app", lambda *_: faust)
        monkeypatch.setattr(faust_app, "credentials", lambda _: None)
        monkeypatch.setattr(topics, "describe", lambda *_: SimpleNamespace(partitions=2))
        self.demand = faust_app.DemandApp(Mock())
        self.acknowledged = 0
        self.is_given(0, 1)

    def is_given(self, *partitions: int) -> None:
        self.assignment.return_value = {TP(DEMAND_TOPIC, partition) for partition in partitions}
        asyncio.run(self.demand._recovered())

    def is_revoked(self) -> None:
        asyncio.run(self.demand._revoked())

    def reads(self, partition: int, *records: bytes) -> None:
        async def events() -> AsyncIterator[Any]:
            for value in records:
                message = SimpleNamespace(partition=partition, offset=0)
                yield SimpleNamespace(value=value, message=message, ack=self._acknowledge)

        stream: Any = SimpleNamespace(events=events)
        stream.noack = lambda: stream
        asyncio.run(self.demand._count(stream))

    def granted(self) -> int:
        """All cards that a start from the changelog counts."""
        found = {place_of(key): orjson.loads(value) for key, value in self.table.changelog.items()}
        return sum(
            count_of(bucket, "voucher.granted") for (_, place), bucket in found.items() if place.level == "total"
        )

    def _acknowledge(self) -> None:
        self.acknowledged += 1


FIRST, SECOND = record([row(0, count=5)], 1), record([row(1, count=7)], 2)


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Process:
    """Started again after the first batch: its table holds what the changelog had."""
    before = Process(monkeypatch, {})
    before.reads(0, FIRST)
    before.demand.flush()
    assert (before.granted(), before.acknowledged) == (5, 1)
    return Process(monkeypatch, before.table.changelog)


@pytest.mark.parametrize("given_between", [[], [(1,)]], ids=["given back", "somewhere else meanwhile"])
def test_what_a_rebalance_left_unwritten_is_written_when_its_batch_comes_again(
    process: Process, given_between: list[tuple[int, ...]]
) -> None:
    process.reads(0, SECOND)
    for partitions in given_between:
        process.is_revoked()
        process.is_given(*partitions)
        process.demand.flush()
        assert process.granted() == 5, "it may be another's"
    process.is_revoked()
    process.is_given(0, 1)
    process.reads(0, SECOND)
    process.demand.flush()
    assert (process.granted(), process.acknowledged) == (12, 1)


def test_what_is_revoked_is_neither_written_nor_acknowledged(process: Process) -> None:
    process.reads(0, SECOND)
    process.is_revoked()
    assert not process.demand.ready
    process.demand.flush()
    # Faust may have taken an event from its queue before.
    process.reads(0, SECOND, record([row(2, count=9)], 3))
    process.demand.flush()
    assert (process.granted(), process.acknowledged) == (5, 0)
    process.is_given(0, 1)
    process.reads(0, SECOND, record([row(2, count=9)], 3))
    process.demand.flush()
    assert (process.granted(), process.acknowledged) == (21, 2)

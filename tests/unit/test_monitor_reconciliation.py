"""Demand against the ledger while both move: a backlog that is worked off is no difference, and a difference is one."""

import asyncio
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest

from tests.unit.demand_given import START, facts, row
from tests.unit.test_monitor_watch import Given
from voucher_ledger.monitor.alerts import PENDING_SECONDS
from voucher_ledger.monitor.facts import Reading
from voucher_ledger.monitor.watch import READ_EVERY_SECONDS

DAY = 86_400
GRANTS = 7  # in each second of record time
TICKS = 10  # in each second of the clock
# How long one reading takes after another, in ticks.
READINGS = (3, 13, 8, 5, 11)


class CatchUp(Given):
    """A day after it happened, a campaign is decided `speed` times as fast as it was.

    What is decided is counted a tick later, and rounds go on during a reading, as they do in the monitor.
    """

    def __init__(self, speed: int) -> None:
        super().__init__(facts(quota=10**6, cards_left=10**6))
        self.speed = speed
        self.tick = 0
        self.missing = 0
        self.is_over = False
        self.alerts: list[tuple[str, str]] = []
        self._decided: list[dict[str, Any]] = []
        self.watch._read = lambda _: self.read()

    def advance(self, ticks: int) -> None:
        for _ in range(ticks):
            self.tick += 1
            if self._decided:
                self.sees(*self._decided)
            begin, end = ((tick * self.speed) // TICKS for tick in (self.tick - 1, self.tick))
            self._decided = [] if self.is_over else [row(at, count=GRANTS) for at in range(begin, end)]
            grey = self.campaigns["grey"]
            out = grey.cards_out + GRANTS * len(self._decided)
            self.campaigns = {"grey": replace(grey, cards_out=out, cards_left=grey.quota - out)}
            if self.tick % TICKS == 0 and self.watch.reading is not None:
                asyncio.run(self.watch.round(START + DAY + self.tick / TICKS))
                self.alerts += [(alert, state) for _, alert, _, state in self.told]
                self.told.clear()

    def read(self) -> Reading:
        """Balances are read in the midst of a reading."""
        duration = READINGS[self.tick % len(READINGS)]
        self.advance(duration // 2)
        grey = self.campaigns["grey"]
        read_at = START + DAY + self.tick / TICKS
        told = replace(grey, cards_out=grey.cards_out - self.missing)
        reading = replace(self.reading(0), read_at=read_at, campaigns={"grey": told})
        self.advance(duration - duration // 2)
        return reading

    def goes_on(self, seconds: float) -> None:
        until = self.tick + seconds * TICKS
        while self.tick < until:
            asyncio.run(self.watch.read())
            self.advance(int(READ_EVERY_SECONDS * TICKS))

    def differences(self) -> list[tuple[str, str]]:
        return [one for one in self.alerts if one[0] == "reconciliation"]


@pytest.mark.parametrize("speed", [1, 15, 40])
def test_a_backlog_that_is_worked_off_fast_is_no_difference(speed: int) -> None:
    given = CatchUp(speed)
    given.goes_on(4 * PENDING_SECONDS["reconciliation"])
    assert given.watch.outlooks["grey"].total["types"]["voucher.granted"][0] > 100 * GRANTS * speed
    assert given.differences() == []


@pytest.mark.parametrize("speed", [1, 15, 40])
def test_a_difference_is_told_during_a_backlog_too(speed: int) -> None:
    given = CatchUp(speed)
    given.goes_on(20)
    given.missing = 6 * GRANTS * speed  # more than is counted until the next reading
    given.goes_on(PENDING_SECONDS["reconciliation"] + 10)
    assert given.differences() == [("reconciliation", "firing")]


def test_the_ledger_is_read_while_demand_is_recovered(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Given(facts())
    given.ready = False
    monkeypatch.setattr(given, "partitions", Mock(side_effect=RuntimeError("the consumer is not started")))
    asyncio.run(given.watch.read())
    assert given.watch.reading is not None
    assert given.watch.reading.movements is None


@pytest.mark.parametrize("missing", [1, -1])
def test_a_single_card_is_told_once_nothing_moves(missing: int) -> None:
    given = CatchUp(40)
    given.goes_on(20)
    given.missing = missing
    given.goes_on(2 * PENDING_SECONDS["reconciliation"])
    assert given.differences() == []
    given.is_over = True
    given.goes_on(PENDING_SECONDS["reconciliation"] + 10)
    assert given.differences() == [("reconciliation", "firing")]
    outlook = given.watch.outlooks["grey"]
    assert outlook.reconciliation is not None
    assert outlook.reconciliation.difference == missing

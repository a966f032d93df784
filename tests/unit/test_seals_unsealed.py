"""What no seal tells of: from before there were seals, or of seals that somebody has deleted."""

from collections.abc import Collection
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME

from tests.unit.sealed import NAME, PLACE, history
from voucher_ledger.core.records import Place
from voucher_ledger.replay.seals.chain import Chains
from voucher_ledger.replay.seals.report import Fault, SealsReport
from voucher_ledger.replay.seals.unsealed import CLOCKS_APART_MS_MAX, Unsealed
from voucher_ledger.replay.topic_reader import Range
from voucher_ledger.runtime.errors import NotSetUp

BARE = ("claim.commands", 5)
SEALING_MS = 1_770_336_000_000
LATER_MS = SEALING_MS + CLOCKS_APART_MS_MAX


class Topics:
    """Command topics: the times of a partition's commands in ms, one an offset, by the clock of `kind`."""

    def __init__(self, times_ms: dict[Place, list[int]], kind: int = TIMESTAMP_LOG_APPEND_TIME) -> None:
        self.times_ms = times_ms
        self.kind = kind
        self.aborted: set[tuple[Place, int]] = set()

    def ranges(self, topics: Collection[str]) -> dict[Place, Range]:
        if not self.times_ms:
            raise NotSetUp(f"no topic {topics}")
        return {place: Range(0, len(times)) for place, times in self.times_ms.items()}

    def offsets_at(self, places: Collection[Place], time_ms: int) -> dict[Place, int]:
        return {place: sum(1 for at_ms in self.times_ms[place] if at_ms < time_ms) for place in places}

    def record_from(self, place: Place, offset: int) -> Any:
        times = self.times_ms[place]
        while (place, offset) in self.aborted:
            offset += 1
        if offset >= len(times):
            return None
        return SimpleNamespace(offset=lambda: offset, timestamp=lambda: (self.kind, times[offset]))


def judged(topics: Topics, positions: dict[Place, int], *, first_offset: int = 0, sealed: bool = True) -> SealsReport:
    """What is said beside the chain of claim.commands/4, which begins at `first_offset`; claim.commands/5 has none."""
    report = SealsReport()
    chains = Chains(SealsReport())
    for seal in history("eee", "ee").seals if sealed else ():
        chains.take(replace(seal, first_offset=first_offset + seal.first_offset, next_offset=first_offset + 5))
    unsealed = Unsealed(report, chains, positions)
    for offset in range(4):  # the last was decided since
        unsealed.take(BARE, offset)
    unsealed.finish(topics)
    assert report.unsealed == 4
    return report


def test_a_partition_that_decided_nothing_since_there_are_seals_is_told_with_the_number_of_what_is_not_sealed() -> None:
    note = (
        "claim.commands/5 has no seal yet: 3 events and dead letters there are not sealed, its chain begins with its "
        "next batch"
    )
    # Up to the moment of the upgrade, give or take what clocks differ by; what came since is not decided yet.
    upgraded = Topics({PLACE: [0] * 5, BARE: [0, SEALING_MS, LATER_MS - 1, LATER_MS]})
    report = judged(upgraded, {PLACE: 5, BARE: 3})
    assert (report.notes, report.passed) == ([note], True)
    # What was aborted is no command, and the one after it is not decided yet.
    aborted = Topics({PLACE: [0] * 5, BARE: [0, SEALING_MS, LATER_MS, LATER_MS]})
    aborted.aborted.add((BARE, 2))
    assert judged(aborted, {PLACE: 5, BARE: 3}).passed
    # Of a producer's clock, or without commands or any seal at all, nothing is known.
    for topics, sealed in (
        (Topics({PLACE: [0] * 5, BARE: [LATER_MS] * 3}, TIMESTAMP_CREATE_TIME), True),
        (Topics({}), True),
        (Topics({PLACE: [0] * 5, BARE: [LATER_MS] * 3}), False),
    ):
        report = judged(topics, {PLACE: 5 if sealed else 0, BARE: 3}, sealed=sealed)
        assert (report.notes, report.passed) == ([note], True)


@pytest.mark.parametrize("late", [1, 3])
def test_the_deleted_seals_of_a_whole_partition_are_missed(late: int) -> None:
    """What came when its siblings were sealed already, and is decided, was sealed too."""
    topics = Topics({PLACE: [0] * 5, BARE: [0] * (3 - late) + [LATER_MS] * late})
    report = judged(topics, {PLACE: 5, BARE: 3})
    (fault,) = report.shown[Fault.CHAIN]
    assert fault == (
        f"claim.commands/5: all seals, of 3 events and dead letters, are missing: claim.commands/5/{3 - late} is "
        "decided and came at 2026-02-06T00:00:10.000Z, and the ledger seals since 2026-02-06T00:00:00.000Z"
    )
    assert (report.counts, report.notes) == ({Fault.CHAIN: 1}, [])


def test_a_chain_that_began_anew_after_its_seals_were_deleted_is_missed_too() -> None:
    """The next batch of live traffic is seal 1 then, and all before it would count as from before there were seals."""
    topics = Topics({PLACE: [0, LATER_MS, *[2 * LATER_MS] * 5]})
    report = judged(topics, {PLACE: 7}, first_offset=2)
    (fault,) = report.shown[Fault.CHAIN]
    assert fault.startswith(f"{NAME}: the seals of what lies before offset 2 are missing: {NAME}/1 is decided and came")
    healthy = Topics({PLACE: [0, SEALING_MS, *[LATER_MS] * 5]})
    assert judged(healthy, {PLACE: 7}, first_offset=2).passed

"""What was decided and has no seal: healthy where it is from before there were seals, else a fault.

Each batch is sealed as it is decided, or refused by the database. So what no seal tells of was decided before the first
seal of all, and its command came before that. A command that came later, by the broker's clock (LogAppendTime: a
producer's own may say anything), and lies before its partition's chain, had a seal, which somebody deleted.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Protocol

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Place
from voucher_ledger.replay.seals.chain import Chains
from voucher_ledger.replay.seals.report import Fault, SealsReport
from voucher_ledger.replay.topic_reader import Range, offset_of
from voucher_ledger.runtime.errors import NotSetUp

# By how much the clocks of broker and database may differ and no upgrade is blamed for it.
CLOCKS_APART_MS_MAX = 10_000


class Reader(Protocol):
    """What looks into the command topics."""

    def ranges(self, topics: Collection[str]) -> dict[Place, Range]:
        """What each partition of `topics` holds now. Raises NotSetUp where one is not there."""

    def offsets_at(self, places: Collection[Place], time_ms: int) -> dict[Place, int]:
        """Where in each of `places` the records of `time_ms` and later begin."""

    def record_from(self, place: Place, offset: int) -> Message | None:
        """The first record at `offset` or after it."""


class Unsealed:
    """Judges what lies before the chains, or has none; blames into the report."""

    def __init__(self, report: SealsReport, chains: Chains, positions: Mapping[Place, int]) -> None:
        self._report = report
        self._since_ms = chains.sealing_since_ms
        self._positions = positions
        self._chainless = {place for place, end in positions.items() if end > 0 and place not in chains.standings}
        begins = {place: standing.first_offset for place, standing in chains.standings.items()}
        # Below which offset no seal tells of what was decided.
        self._ends = {place: end for place in positions if (end := begins.get(place, positions[place])) > 0}
        self._counts: Counter[Place] = Counter()

    def take(self, place: Place, offset: int) -> None:
        """Count what answers the decided command at `offset` of a partition without a chain, as of the snapshot: what
        was decided since then has begun one.
        """
        self._report.unsealed += 1
        self._counts[place] += offset < self._positions.get(place, 0)

    def finish(self, reader: Reader) -> None:
        """Judge, once all was read. Raises Unread, Unreachable."""
        blamed = self._blame_deleted(reader)
        for place in sorted(self._chainless - blamed):
            self._report.notes.append(
                f"{place[0]}/{place[1]} has no seal yet: {self._counts[place]:,} events and dead letters there are not "
                "sealed, its chain begins with its next batch"
            )

    def _blame_deleted(self, reader: Reader) -> set[Place]:
        """The partitions of which commands came, and were decided, when the ledger sealed already."""
        if self._since_ms is None:
            return set()
        sealing_ms = self._since_ms + CLOCKS_APART_MS_MAX
        blamed = set()
        for place, offset in sorted(self._offsets_at(reader, sealing_ms).items()):
            record = reader.record_from(place, offset) if offset < self._ends[place] else None
            if record is None or offset_of(record) >= self._ends[place]:
                continue
            kind, time_ms = record.timestamp()
            if kind != TIMESTAMP_LOG_APPEND_TIME or time_ms < sealing_ms:
                continue
            blamed.add(place)
            self._report.blame(
                Fault.CHAIN,
                f"{self._which(place)} are missing: {place[0]}/{place[1]}/{offset_of(record)} is decided and came at "
                f"{rfc3339(time_ms)}, and the ledger seals since {rfc3339(self._since_ms)}",
            )
        return blamed

    def _offsets_at(self, reader: Reader, time_ms: int) -> dict[Place, int]:
        """Of commands that are not there any more no time is known."""
        try:
            held = reader.ranges({topic for topic, _ in self._ends})
        except NotSetUp:
            return {}
        asked = [place for place in self._ends if place in held]
        return reader.offsets_at(asked, time_ms) if asked else {}

    def _which(self, place: Place) -> str:
        if place in self._chainless:
            return f"{place[0]}/{place[1]}: all seals, of {self._counts[place]:,} events and dead letters,"
        return f"{place[0]}/{place[1]}: the seals of what lies before offset {self._ends[place]}"

"""The records of one partition against its seals: what was changed, dropped, added or moved is named. No IO.

Each record names the command that it answers, and so its batch and its place there, wherever it lies now. So one that
was dropped or moved does not make all after it look wrong. Memory is bounded: the batches that are not yet whole, and a
byte a batch.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol
from zlib import crc32

from voucher_ledger.replay.answers import Marks
from voucher_ledger.replay.seals.batch import Batch, OpenBatch
from voucher_ledger.replay.seals.report import SHOWN_MAX, Fault, SealsReport

# Batches of which some records have come and others not: one, unless records are missing or lie far from their place.
OPEN_BATCHES_MAX = 64
EVENTS = "events"
LETTERS = "dead letters"
UNDECIDED = "which nobody has decided: it was added, or seals and position were cut off"


@dataclass(frozen=True, slots=True)
class Found:
    """A record of a topic: where it lies (in words, and the number of its `partition`), the offset that it answers, and
    what of it is sealed. `odd` says what a record of its kind never has (another key, headers).
    """

    where: str
    partition: int
    offset: int
    content: bytes
    odd: str | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is judged: the records of one `kind` that answer the commands of `place` (`claim.commands/4`) from
    `first_offset` up to `next_offset`, `count` of them in all.
    """

    place: str
    kind: str
    first_offset: int
    next_offset: int
    count: int


class Batches(Protocol):
    """The batches of one chain that have records of one kind."""

    def holding(self, offset: int) -> Batch | None:
        """The latest one over the command at `offset`."""

    def ranges(self) -> Iterable[tuple[int, int, int, int]]:
        """All of them: (number, first_offset, next_offset, count of records)."""


class Match:
    """Takes the records of one partition and kind as they lie on the topic; blames into the report. `separator` stands
    between the contents of two records where they are digested; `is_decided` tells of an offset past the chain whether
    its command has been decided by now.
    """

    def __init__(
        self, sealed: Sealed, batches: Batches, report: SealsReport, separator: bytes, is_decided: Callable[[int], bool]
    ) -> None:
        self._sealed = sealed
        self._batches = batches
        self._report = report
        self._separator = separator
        self._is_decided = is_decided
        self._open: dict[int, OpenBatch] = {}
        self._current: OpenBatch | None = None
        self._done = Marks()
        self._came = 0
        self._lowest: int | None = None
        self._beyond: list[str] = []
        # By the topic's partition: what the last record there answers, where it lies, and what the one before answers.
        self._last: dict[int, tuple[int, str, int]] = {}

    @property
    def short(self) -> bool:
        """Whether records that are sealed have not come yet."""
        return self._came < self._sealed.count

    def take(self, record: Found) -> None:
        """Match the next record."""
        offset = record.offset
        if 0 <= offset < self._sealed.first_offset and self._lowest is None:
            self._report.unsealed += 1
            return
        if offset >= self._sealed.next_offset:
            self._take_beyond(record)
            return
        opened = self._opened(offset)
        place = None if opened is None else opened.place_of(offset)
        if opened is None or place is None:
            why = "once more, or no seal tells of it: it was added, or its seal is missing"
            self._report.blame(Fault.ADDED, f"{record.where} answers {self._sealed.place}/{offset} {why}")
            return
        if opened.came[place]:
            text = f"{record.where} answers {self._sealed.place}/{offset} once more: it was added"
            self._report.blame(Fault.ADDED, text)
            return
        for early in self._beyond:
            self._report.blame(Fault.ADDED, f"{early}, and lies before records that are sealed: it was added")
        self._beyond = []
        self._judge_order(record)
        self._add(opened, place, record)

    def _take_beyond(self, record: Found) -> None:
        """A record past the chain: sealed since the chain was read, if it was decided at all."""
        answers = f"{record.where} answers {self._sealed.place}/{record.offset}"
        if not self._is_decided(record.offset):
            self._report.blame(Fault.ADDED, f"{answers}, {UNDECIDED}")
            return
        self._report.beyond += 1
        self._beyond = self._beyond or [answers]

    def finish(self, *, earlier_were_deleted: bool, waits_in_outbox: Callable[[int, int], bool]) -> None:
        """Judge what did not come. What lies before the first record that is there cannot be told where earlier ones
        were deleted; what is still in the outbox is not on the topic yet.
        """
        for opened in list(self._open.values()):
            self._give_up(opened, waits_in_outbox, self._lowest if earlier_were_deleted else None)
        if not self.short:
            return
        for number, first, following, count in self._batches.ranges():
            if number in self._done:
                continue
            if earlier_were_deleted and (self._lowest is None or following <= self._lowest):
                self._report.deleted[self._sealed.kind] += count
                continue
            batch = self._batches.holding(first) if count <= SHOWN_MAX else None
            if batch is not None and batch.number == number:
                self._give_up(OpenBatch(batch), waits_in_outbox, None)
                continue
            text = f"all {count} {self._sealed.kind} of seal {number} (offsets {first} to {following})"
            self._blame_missing(text, count, waiting=waits_in_outbox(first, following))

    def _opened(self, offset: int) -> OpenBatch | None:
        """The batch of the command at `offset`, None where there is none or it is whole already."""
        current = self._current
        if current is not None and current.holds(offset) and current.place_of(offset) is not None:
            return current
        for opened in self._open.values():
            if opened.holds(offset) and opened.place_of(offset) is not None:
                return opened
        batch = self._batches.holding(offset)
        if batch is None or batch.number in self._done or batch.number in self._open:
            return None
        if len(self._open) >= OPEN_BATCHES_MAX:
            self._give_up(self._open[min(self._open)], lambda _first, _following: False, None)
        self._current = self._open[batch.number] = OpenBatch(batch)
        return self._current

    def _add(self, opened: OpenBatch, place: int, record: Found) -> None:
        self._came += 1
        self._lowest = record.offset if self._lowest is None else min(self._lowest, record.offset)
        opened.came[place] = 1
        opened.left -= 1
        changed = crc32(record.content) != opened.checks[place]
        if changed or record.odd:
            why = "was changed" if changed else record.odd
            self._report.blame(Fault.CHANGED, f"{record.where}, {self._name(record.offset)}: {why}")
            opened.whole = False
        else:
            opened.fine += 1
        if opened.whole and place == opened.expected:
            if place:
                opened.content.update(self._separator)
            opened.content.update(record.content)
            opened.expected += 1
        else:
            opened.whole = False
        if not opened.left:
            self._close(opened)

    def _close(self, opened: OpenBatch) -> None:
        batch = opened.batch
        self._done.add(batch.number)
        del self._open[batch.number]
        if opened.whole and opened.content.digest() != batch.digest.sha256:
            text = (
                f"{self._sealed.place} seal {batch.number}: some of its {batch.digest.count} {self._sealed.kind} "
                f"(offsets {batch.first_offset} to {batch.next_offset}) were changed, and made to fit their checks"
            )
            self._report.blame(Fault.CHANGED, text)
            return
        proven = self._report.verified if opened.whole else self._report.verified_by_checks
        proven[self._sealed.kind] += opened.fine

    def _judge_order(self, record: Found) -> None:
        """Records lie in the order of what they answer. One that does not fits neither neighbour."""
        last, where, former = self._last.get(record.partition, (-1, "", -1))
        if record.offset > last:
            self._last[record.partition] = (record.offset, record.where, last)
            return
        text = (
            f"{where} answers {self._sealed.place}/{last}, {record.where} after it {self._sealed.place}/{record.offset}"
        )
        self._report.blame(Fault.MOVED, text)
        if record.offset > former:  # it was the last one that came too soon
            self._last[record.partition] = (record.offset, record.where, former)

    def _give_up(
        self, opened: OpenBatch, waits_in_outbox: Callable[[int, int], bool], deleted_below: int | None
    ) -> None:
        """Blame what of a batch did not come, but for what was deleted."""
        batch, missing = opened.batch, opened.missing()
        self._done.add(batch.number)
        self._open.pop(batch.number, None)
        self._report.verified_by_checks[self._sealed.kind] += opened.fine
        if deleted_below is not None:
            told = [offset for offset in missing if offset > deleted_below]
            self._report.deleted[self._sealed.kind] += len(missing) - len(told)
            missing = told
        waiting = bool(missing) and waits_in_outbox(batch.first_offset, batch.next_offset)
        for offset in missing:
            self._blame_missing(self._name(offset), 1, waiting=waiting)

    def _blame_missing(self, what: str, count: int, *, waiting: bool) -> None:
        why = "decided, but still in the outbox: does a processor of the room run?" if waiting else "missing"
        self._report.blame(Fault.MISSING, f"{self._sealed.place}: {what}: {why}", count)

    def _name(self, offset: int) -> str:
        if self._sealed.kind == EVENTS:
            return f"event {self._sealed.place}/{offset}/0"
        return f"dead letter of {self._sealed.place}/{offset}"

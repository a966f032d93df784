"""Chains of seals and the records that they seal, made without Kafka or Postgres."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import orjson

from voucher_ledger.core.sealing import BETWEEN, Digest, digest_of_events, digest_of_letters, letter_digest
from voucher_ledger.replay.seals.batch import Batch
from voucher_ledger.replay.seals.chain import Chains, Head, Seal, seal_of
from voucher_ledger.replay.seals.match import EVENTS, Found, Match, Sealed
from voucher_ledger.replay.seals.report import SealsReport

PLACE = ("claim.commands", 4)
NAME = "claim.commands/4"
NO_LETTERS = Digest(0, b"", b"", b"")
NEVER_IN_OUTBOX = lambda _first, _following: False  # noqa: E731


def event(offset: int, word: str = "granted") -> bytes:
    """An event as it lies on the topic."""
    return orjson.dumps({"specversion": "1.0", "id": f"{NAME}/{offset}/0", "type": f"voucher.{word}", "data": {}})


def letter(offset: int) -> bytes:
    """A dead letter by its digest."""
    return letter_digest(b"u", b"rubbish", [("dlq_offset", str(offset).encode())])


@dataclass(slots=True)
class History:
    """Sealed batches and their records, events and dead letters; offsets between them may be skipped."""

    seals: list[Seal] = field(default_factory=list)
    events: list[Found] = field(default_factory=list)
    letters: list[Found] = field(default_factory=list)

    @property
    def next_offset(self) -> int:
        """Where the next batch begins."""
        return self.seals[-1].next_offset if self.seals else 0

    def add(self, kinds: str) -> None:
        """Seal a batch: `e` an event, `d` a dead letter, `-` an offset without a command, one character an offset."""
        first = self.next_offset
        events = [first + place for place, kind in enumerate(kinds) if kind == "e"]
        letters = [first + place for place, kind in enumerate(kinds) if kind == "d"]
        values = [event(offset) for offset in events]
        sealed = Seal(
            *PLACE, len(self.seals) + 1, "batch", first, first + len(kinds), 1_770_336_000_000, b"",
            digest_of_events(values, BETWEEN.join(values), first, first + len(kinds)),
            digest_of_letters([letter(offset) for offset in letters], letters) if letters else NO_LETTERS,
        )  # fmt: skip
        former = self.seals[-1].seal if self.seals else bytes(32)
        self.seals.append(replace(sealed, seal=seal_of(former, sealed)))
        for offset, value in zip(events, values, strict=True):
            self.events.append(Found(f"claim.events/4/{2 * offset}", 4, offset, value))
        for offset in letters:
            self.letters.append(Found(f"ledger.dead-letters/0/{2 * offset}", 0, offset, letter(offset)))

    def heads(self) -> list[Head]:
        """Each seal as if it had been kept."""
        return [Head(*one.place, one.number, one.next_offset, one.seal) for one in self.seals]


def history(*batches: str) -> History:
    """The history of these batches; see History.add."""
    made = History()
    for kinds in batches:
        made.add(kinds)
    return made


class InMemory:
    """The batches of a history that have records of one kind; see match.Batches."""

    def __init__(self, seals: Sequence[Seal], kind: str) -> None:
        self.batches = [
            Batch(one.number, one.first_offset, one.next_offset, digest)
            for one in seals
            for digest in (one.events if kind == EVENTS else one.letters,)
            if digest.count
        ]

    def holding(self, offset: int) -> Batch | None:
        found = [batch for batch in self.batches if batch.first_offset <= offset < batch.next_offset]
        return found[-1] if found else None

    def ranges(self) -> Iterable[tuple[int, int, int, int]]:
        return [(one.number, one.first_offset, one.next_offset, one.digest.count) for one in self.batches]


def judged_chain(
    seals: Iterable[Seal], kept: Sequence[Head] = (), position: int | None = None
) -> SealsReport:  # fmt: skip
    """What a chain tells by itself; `position` is the ledger's (by default where the chain ends)."""
    report = SealsReport()
    chains = Chains(report, kept)
    for one in seals:
        chains.take(one)
    ends = {place: standing.next_offset for place, standing in chains.standings.items()}
    chains.finish(ends if position is None else {PLACE: position})
    return report


def judged(
    seals: Sequence[Seal], records: Iterable[Found], kind: str = EVENTS, *, deleted: bool = False,
    is_decided: Callable[[int], bool] | None = None,
) -> SealsReport:  # fmt: skip
    """What the records on a topic tell, matched with the seals; `is_decided` tells what is by then (by default what is
    below the end of the chain).
    """
    report = SealsReport()
    batches = InMemory(seals, kind)
    count = sum(batch.digest.count for batch in batches.batches)
    chains = Chains(SealsReport())
    for one in seals:
        chains.take(one)
    ends = chains.standings[PLACE]
    sealed = Sealed(NAME, kind, ends.first_offset, ends.next_offset, count)
    separator = BETWEEN if kind == EVENTS else b""
    match = Match(sealed, batches, report, separator, is_decided or (lambda offset: offset < ends.next_offset))
    for record in records:
        match.take(record)
    match.finish(earlier_were_deleted=deleted, waits_in_outbox=NEVER_IN_OUTBOX)
    return report

"""The chain of seals by itself: each is the digest of its row and of the one before, and begins where that one ends.

Pure, and written apart from the SQL that links the rows, so that neither can be wrong unnoticed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from struct import pack

from voucher_ledger.core.records import Place
from voucher_ledger.core.sealing import Digest
from voucher_ledger.replay.seals.report import Fault, SealsReport

_NO_SEAL = bytes(32)
MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Seal:
    """A row of books.seal."""

    topic: str
    partition: int
    number: int
    kind: str
    first_offset: int
    next_offset: int
    sealed_at_ms: int
    seal: bytes
    events: Digest
    letters: Digest

    @property
    def place(self) -> Place:
        """The command topic's partition whose chain it is in."""
        return self.topic, self.partition


@dataclass(frozen=True, slots=True)
class Head:
    """A seal as it is kept elsewhere: its place in the chain of a partition, and itself (32 bytes)."""

    topic: str
    partition: int
    number: int
    next_offset: int
    seal: bytes


@dataclass(slots=True)
class Standing:
    """What is known of a partition's chain once it was read: its ends, and how much it seals."""

    first_offset: int
    number: int = 0
    next_offset: int = 0
    seal: bytes = _NO_SEAL
    events: int = 0
    letters: int = 0


def seal_of(former_seal: bytes, seal: Seal) -> bytes:
    """What a row's seal must be, after `former_seal` (32 bytes): as books.seal_of says it."""
    events, letters = seal.events, seal.letters
    long = (
        events.checks, events.offsets or b"", letters.sha256, letters.checks, letters.offsets or b"",
    )  # fmt: skip
    return sha256(
        b"".join(
            [
                former_seal,
                seal.topic.encode() + b"\0" + pack(">iq", seal.partition, seal.number) + seal.kind.encode() + b"\0",
                pack(">qqiiq", seal.first_offset, seal.next_offset, events.count, letters.count, seal.sealed_at_ms),
                events.sha256,
                *(sha256(part).digest() for part in long),
            ]
        )
    ).digest()


class Chains:
    """Takes every seal of the ledger, those of a partition by their numbers; blames into the report. `kept` are heads
    that somebody has kept elsewhere: each must be on its chain.
    """

    def __init__(self, report: SealsReport, kept: Collection[Head] = ()) -> None:
        self.standings: dict[Place, Standing] = {}
        # When the first of all seals was made, in ms since 1970 by the clock of Postgres.
        self.sealing_since_ms: int | None = None
        self._report = report
        self._kept: dict[tuple[str, int, int], list[Head]] = {}
        for head in kept:
            self._kept.setdefault((head.topic, head.partition, head.number), []).append(head)

    def take(self, seal: Seal) -> None:
        """Judge the next seal of its partition."""
        self._report.seals += 1
        self.sealing_since_ms = min(seal.sealed_at_ms, self.sealing_since_ms or seal.sealed_at_ms)
        standing = self.standings.get(seal.place)
        if standing is None:
            standing = self.standings[seal.place] = Standing(seal.first_offset)
        # Where an operator moved the position back, what is sealed next begins lower than this seal does.
        standing.first_offset = min(standing.first_offset, seal.first_offset, seal.next_offset)
        self._judge(seal, standing)
        for head in self._kept.pop((seal.topic, seal.partition, seal.number), ()):
            self._report.heads_found += 1
            if (head.seal, head.next_offset) != (seal.seal, seal.next_offset):
                self._blame_head(head, f"the ledger has {seal.seal.hex()} up to offset {seal.next_offset} there")
        standing.number, standing.next_offset, standing.seal = seal.number, seal.next_offset, seal.seal
        standing.events += seal.events.count
        standing.letters += seal.letters.count

    def finish(self, positions: Mapping[Place, int]) -> None:
        """Judge the ends: each chain must reach the position of its partition, and every kept head must be there."""
        for place, standing in self.standings.items():
            position = positions.get(place)
            if position != standing.next_offset:
                self._report.blame(
                    Fault.CHAIN,
                    f"{_name(place)}: the chain ends at offset {standing.next_offset} with seal {standing.number}, "
                    f"decided is up to {position}: seals after it are missing, or somebody moved the position",
                )
        for heads in self._kept.values():
            for head in heads:
                held = self.standings.get((head.topic, head.partition))
                ends = "it has no chain" if held is None else f"its chain ends with seal {held.number}"
                self._blame_head(head, ends)

    def _judge(self, seal: Seal, former: Standing) -> None:
        name = f"{_name(seal.place)} seal {seal.number}"
        if seal.number != former.number + 1:
            missing = f"{former.number + 1} to {seal.number - 1}"
            offsets = f"{former.next_offset if former.number else 'the beginning'} to {seal.first_offset}"
            self._report.blame(Fault.CHAIN, f"{_name(seal.place)}: seals {missing} are missing (offsets {offsets})")
            return
        if seal.kind == MOVED:
            self._report.notes.append(
                f"{name}: an operator moved the position from {seal.first_offset} to {seal.next_offset}"
            )
        elif former.number and seal.first_offset != former.next_offset:
            self._report.blame(
                Fault.CHAIN,
                f"{name} begins at offset {seal.first_offset}, the seal before it ends at {former.next_offset}",
            )
        if seal.seal != seal_of(former.seal, seal):
            self._report.blame(
                Fault.CHAIN,
                f"{name} (offsets {seal.first_offset} to {seal.next_offset}) is not the digest of its row and of seal "
                f"{former.number}: one of the two rows was changed",
            )
        for digest, kind in ((seal.events, "events"), (seal.letters, "dead letters")):
            if not digest.fits(seal.first_offset, seal.next_offset):
                self._report.blame(
                    Fault.CHAIN,
                    f"{name}: count, checks and offsets of its {kind} do not fit each other: it was changed",
                )

    def _blame_head(self, head: Head, found: str) -> None:
        name = f"{head.topic}/{head.partition} seal {head.number}"
        self._report.blame(
            Fault.HEAD, f"{name}, up to offset {head.next_offset}, was kept as {head.seal.hex()}: {found}"
        )


def _name(place: Place) -> str:
    return f"{place[0]}/{place[1]}"

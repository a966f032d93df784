"""Answers to commands past the position that a verification began with: decided since, or added by somebody.

Positions only tell them apart once the answers were read: a processor commits its position before it publishes.
"""

from collections.abc import Iterator, Mapping
from heapq import heappush, heappushpop
from typing import NamedTuple

from voucher_ledger.core.records import Place

# Of each partition of commands. Beside live traffic there are many, and those to the greatest offsets tell.
KEPT_MAX = 1_000


class BeyondAnswer(NamedTuple):
    """An answer to the command at `offset` of a partition, found at `found_offset` of `found_in`."""

    offset: int
    found_in: Place
    found_offset: int


class Beyond:
    """Keeps of each partition of commands the KEPT_MAX answers to the greatest offsets, in bounded memory."""

    def __init__(self) -> None:
        self._kept: dict[Place, list[BeyondAnswer]] = {}

    def add(self, commands: Place, answer: BeyondAnswer) -> None:
        """Keep an answer to a command of the partition `commands`, if it is among the greatest."""
        kept = self._kept.setdefault(commands, [])
        if len(kept) < KEPT_MAX:
            heappush(kept, answer)
        else:
            heappushpop(kept, answer)

    def greatest(self) -> dict[Place, int]:
        """The greatest offset that is answered, by partition of commands."""
        return {commands: max(kept).offset for commands, kept in sorted(self._kept.items())}

    def undecided(self, next_offsets: Mapping[Place, int]) -> Iterator[tuple[Place, BeyondAnswer]]:
        """The answers to commands that nobody has decided, where `next_offsets` are the positions as of after the
        read; a partition without one has decided nothing.
        """
        for commands, kept in sorted(self._kept.items()):
            for answer in sorted(kept):
                if answer.offset >= next_offsets.get(commands, 0):
                    yield commands, answer

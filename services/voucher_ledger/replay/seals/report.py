"""What `replay verify --seals` found: nothing, or what is wrong by kind, all counted and some named."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import orjson

SHOWN_MAX = 20


class Fault(StrEnum):
    """What may be wrong."""

    CHAIN = "seals that do not follow one another"
    HEAD = "kept heads that are not on the chain"
    CHANGED = "records that were changed"
    MISSING = "records that are missing"
    ADDED = "records that no seal knows"
    MOVED = "records out of their order"


@dataclass(slots=True)
class SealsReport:
    """The whole of it. `verified` counts records that are as they were sealed, by the digests of their batches. Those
    in `verified_by_checks` fit their own checks of 32 bits, which can be forged: records of their batch are gone or out
    of order, so its digest tells nothing. `deleted` are those before the topics' first records, of which nothing can be
    told; `unsealed` came before the chain began, `beyond` was decided after it was read. `heads` are the chains' ends
    (place: number, offset, seal). Of each fault SHOWN_MAX are in words.
    """

    seals: int = 0
    heads: dict[str, dict[str, object]] = field(default_factory=dict)
    heads_kept: int = 0
    heads_found: int = 0
    verified: Counter[str] = field(default_factory=Counter)
    verified_by_checks: Counter[str] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    unsealed: int = 0
    beyond: int = 0
    counts: Counter[Fault] = field(default_factory=Counter)
    shown: dict[Fault, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    duration_seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every seal is on its chain, every record as it was sealed, and every kept head there."""
        return not self.counts.total()

    def blame(self, kind: Fault, text: str, count: int = 1) -> None:
        """Count faults, and keep the words while there are few of their kind."""
        self.counts[kind] += count
        shown = self.shown.setdefault(kind, [])
        if len(shown) < SHOWN_MAX:
            shown.append(text)

    def to_json(self) -> str:
        """One JSON object; see the fields."""
        faults: Mapping[str, object] = {
            kind.name.lower(): {"count": self.counts[kind], "shown": self.shown.get(kind, [])} for kind in Fault
        }
        return orjson.dumps(
            {
                "passed": self.passed,
                "seals": self.seals,
                "heads": self.heads,
                "heads_kept": self.heads_kept,
                "heads_found": self.heads_found,
                "verified": self.verified,
                "verified_by_checks": self.verified_by_checks,
                "deleted": self.deleted,
                "unsealed": self.unsealed,
                "beyond": self.beyond,
                "faults": faults,
                "notes": self.notes,
                "duration_seconds": round(self.duration_seconds, 3),
            }
        ).decode()

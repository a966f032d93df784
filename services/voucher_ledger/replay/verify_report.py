"""What `replay verify` found: nothing, or what is wrong by kind, all counted and some named."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from voucher_ledger.core.records import Place
from voucher_ledger.replay.answers import AnswersReport

SHOWN_MAX = 20


class Difference(NamedTuple):
    """A key of which events and ledger say different things; `columns` has both, by column: (events, ledger)."""

    key: str
    problem: str
    columns: Mapping[str, tuple[object, object]]


@dataclass(slots=True)
class Kind:
    """The differences of one kind of row: `count` of all, SHOWN_MAX of them named; `compared` rows were looked at."""

    compared: int = 0
    count: int = 0
    shown: list[Difference] = field(default_factory=list)

    def note(self, difference: Difference) -> None:
        """Count a difference, and keep it while there are few."""
        self.count += 1
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(difference)


@dataclass(slots=True)
class VerifyReport:
    """The whole of it. `contradictions` are events that can't all be true; `notes` are for people and no faults."""

    answers: AnswersReport
    positions: dict[Place, int]
    undecided: Counter[str] = field(default_factory=Counter)
    events_read: int = 0
    compared: bool = True
    contradiction_count: int = 0
    contradictions: list[str] = field(default_factory=list)
    kinds: dict[str, Kind] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    duration_seconds: float = 0.0

    @property
    def compared_count(self) -> int:
        """Keys that were looked at, of all kinds."""
        return sum(kind.compared for kind in self.kinds.values())

    @property
    def difference_count(self) -> int:
        """Keys that differ, of all kinds."""
        return sum(kind.count for kind in self.kinds.values())

    @property
    def passed(self) -> bool:
        """Whether every command has one answer, the events agree with each other, and the ledger with them."""
        return self.answers.passed and not self.contradiction_count and not self.difference_count

    def contradict(self, faults: list[str]) -> None:
        """Count contradictions, and keep their words while there are few."""
        self.contradiction_count += len(faults)
        self.contradictions += faults[: max(0, SHOWN_MAX - len(self.contradictions))]

    def to_json(self) -> str:
        """One JSON object; see the fields."""
        answers = self.answers
        kinds = {
            name: {
                "compared": kind.compared,
                "differing": kind.count,
                "shown": [
                    {
                        "key": difference.key,
                        "problem": difference.problem,
                        "columns": {
                            column: {"events": events, "ledger": ledger}
                            for column, (events, ledger) in difference.columns.items()
                        },
                    }
                    for difference in kind.shown
                ],
            }
            for name, kind in self.kinds.items()
        }
        return orjson.dumps(
            {
                "passed": self.passed,
                "positions": {f"{topic}/{partition}": end for (topic, partition), end in self.positions.items()},
                "events_read": self.events_read,
                "commands_answered": answers.answered,
                "commands_unanswered": answers.unanswered,
                "commands_undecided": self.undecided,
                "dead_letters": answers.dead_letters,
                "answer_faults": {"count": answers.fault_count, "shown": answers.faults},
                "contradictions": {"count": self.contradiction_count, "shown": self.contradictions},
                "ledger_compared": self.compared,
                "ledger": kinds,
                "notes": self.notes,
                "duration_seconds": round(self.duration_seconds, 3),
            }
        ).decode()

"""The dead letters that a verb is about: where they lie, and what they must be."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from voucher_ledger.replay.bounds import UNBOUNDED, Bound
from voucher_ledger.replay.dead_letters.choice import Filter, State, kind_of, partitions_of, state_of
from voucher_ledger.replay.dead_letters.letters import Letter, letter
from voucher_ledger.replay.dead_letters.marks import Mark, Marks
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.reading import Span, records, spans
from voucher_ledger.runtime.publisher import DEAD_LETTER_TOPIC
from voucher_ledger.runtime.settings import Settings

REASONS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter, and the part of `ledger.dead-letters` that is read: bounds are of the letters, not of their records."""

    filter: Filter
    partitions: frozenset[int] = frozenset()
    since: Bound = UNBOUNDED
    until: Bound = UNBOUNDED

    def spans(self, settings: Settings) -> list[Span]:
        """What is to be read, ended by what lies there now. Raises as `reading.spans`."""
        places = self.filter.places
        wanted = partitions_of(places) if places else self.partitions
        found = spans(settings, DEAD_LETTER_TOPIC, wanted or None, self.since, self.until)
        if not places:
            return found
        # One letter is one read, however many lie before it.
        parts = {part.partition: part for part in found}
        narrow: list[Span] = []
        for partition in sorted(wanted):
            offsets = sorted(offset for number, offset in places if number == partition)
            part = parts.get(partition) or Span(DEAD_LETTER_TOPIC, partition, 0, 0)
            for offset in offsets:
                if not part.start <= offset < part.end:
                    raise Refused(f"{DEAD_LETTER_TOPIC} has no letter at {partition}/{offset} (any more)")
            narrow.append(Span(part.topic, partition, offsets[0], offsets[-1] + 1))
        return narrow

    def letters(
        self, settings: Settings, marks: Marks, parts: list[Span] | None = None
    ) -> Iterator[tuple[Letter, Mark | None]]:
        """The letters meant, each with its last mark; in `parts`, or all there are now. Raises as `spans`, Unread."""
        for record in records(settings, self.spans(settings) if parts is None else parts):
            found = letter(record)
            mark = marks.last.get(found.place)
            if self.filter.takes(found, mark):
                yield found, mark


@dataclass(slots=True)
class Tally:
    """How many letters there are, by topic, kind of reason and what was done about them; `first` are the first ones."""

    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    states: Counter[State] = field(default_factory=Counter)
    first: list[tuple[Letter, Mark | None]] = field(default_factory=list)
    count: int = 0

    def add(self, found: Letter, mark: Mark | None, first_max: int) -> None:
        """Count one letter."""
        self.count += 1
        self.states[state_of(mark)] += 1
        reason = (found.topic, kind_of(found.error))
        known = reason in self.reasons or len(self.reasons) < REASONS_MAX
        self.reasons[reason if known else (found.topic, "another reason")] += 1
        if len(self.first) < first_max:
            self.first.append((found, mark))


def tally(letters: Iterable[tuple[Letter, Mark | None]], first_max: int) -> Tally:
    """Count `letters`, and keep the first of them."""
    made = Tally()
    for found, mark in letters:
        made.add(found, mark, first_max)
    return made

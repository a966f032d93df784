"""Which part of the commands is verified, and that there is something in it: of nothing everything is equal."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Place
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.ledger_rows import LedgerPosition
from voucher_ledger.replay.topic_reader import Range, TopicReader, offset_of, time_ms_of

Bounds = dict[Place, tuple[int, int]]
"""By partition of commands: the first offset that is judged, and the one after the last."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is verified. `campaign_id`: the rows of one campaign only. The others bound the commands whose answers are
    looked at, by partition and by offset or record time (milliseconds since 1970): then rows, which are the sum of
    all events, can't be compared.
    """

    campaign_id: str | None = None
    partitions: frozenset[int] | None = None
    from_offset: int | None = None
    to_offset: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    @property
    def whole(self) -> bool:
        """Whether all events are looked at."""
        return self.partitions is None and not self.cut

    @property
    def cut(self) -> bool:
        """Whether a first or a last command is asked for."""
        return any(bound is not None for bound in (self.from_offset, self.to_offset, self.from_ms, self.to_ms))


def refuse_strange_partitions(asked: Collection[int] | None, commands: Collection[Place]) -> None:
    """Raise Refused where a partition is asked for that no topic of `commands` has: in a mistyped one nothing is
    wrong.
    """
    numbers = sorted({number for _, number in commands})
    if strange := sorted(set(asked or ()) - set(numbers)):
        raise Refused(f"the command topics have partitions {numbers[0]} to {numbers[-1]}, not {strange}")


def bounded(
    reader: TopicReader, scope: Scope, positions: Mapping[Place, LedgerPosition], commands: Mapping[Place, Range]
) -> Bounds:
    """The commands that are judged, within what was decided by `positions`; `commands` is what their topics hold.

    Raises Refused where `scope` is cut so that no decided command lies in any partition of it, Unread, Unreachable.
    """
    places = [place for place in positions if scope.partitions is None or place[1] in scope.partitions]
    known = [place for place in places if place in commands]
    begins = {} if scope.from_ms is None else reader.offsets_at(known, scope.from_ms)
    ends = {} if scope.to_ms is None else reader.offsets_at(known, scope.to_ms)
    bounds: Bounds = {}
    for place in places:
        following = positions[place].next_offset
        first = max(scope.from_offset or 0, begins.get(place, 0))
        to = following if scope.to_offset is None else scope.to_offset
        bounds[place] = (first, max(first, min(following, to, ends.get(place, following))))
    # What was deleted is no command that could be judged; a partition without any is beside those that have some.
    lows = {place: commands[place].low if place in commands else 0 for place in bounds}
    if scope.cut and all(end <= max(first, lows[place]) for place, (first, end) in bounds.items()):
        decided = {place: Range(lows[place], positions[place].next_offset) for place in known}
        raise Refused(f"no decided command lies between --from and --to: {_told(reader, decided)}")
    return bounds


def _told(reader: TopicReader, decided: Mapping[Place, Range]) -> str:
    """What there is of decided commands, by offset and by time."""
    there = {place: range_ for place, range_ in decided.items() if range_.low < range_.high}
    if not there:
        return "none is decided there at all"
    low, high = min(range_.low for range_ in there.values()), max(range_.high for range_ in there.values())
    told = f"there are decided ones at the offsets {low} to {high - 1}"
    # Where a transaction's marker lies last, the time of the record before it is left out: others tell.
    edges = [(place, offset) for place, range_ in there.items() for offset in (range_.low, range_.high - 1)]
    found = [(offset, reader.record_from(place, offset)) for place, offset in edges]
    times = [time_ms_of(record) for offset, record in found if record is not None and offset_of(record) == offset]
    return f"{told}, of the times {rfc3339(min(times))} to {rfc3339(max(times))}" if times else told

"""Whether the answers read are all that a position tells of: events and dead letters, each by their number."""

from collections.abc import Callable, Mapping

from voucher_ledger.core.records import Place
from voucher_ledger.core.wording import counted
from voucher_ledger.replay.answers import Answers, Marks
from voucher_ledger.replay.commands_there import Reader, commands_there
from voucher_ledger.replay.ledger_rows import LedgerPosition
from voucher_ledger.replay.topic_reader import Range

WaitsInOutbox = Callable[[Place, int, int], bool]


class Judge:
    """Judges the answers of every place of `bounds`, the command offsets from and up to; blames into the answers.

    Offsets are no number of commands: transactions leave markers among them. So what is missing by number is a fault,
    and which it is, is looked up in the commands, where they are still there. In a part (not `whole`) a position, which
    counts from the beginning, tells nothing, and the commands alone do.
    """

    def __init__(
        self, reader: Reader, waits_in_outbox: WaitsInOutbox, answers: Answers, commands: Mapping[Place, Range],
        positions: Mapping[Place, LedgerPosition], bounds: Mapping[Place, tuple[int, int]], *, whole: bool,
        letters_were_deleted: bool,
    ) -> None:  # fmt: skip
        self._reader = reader
        self._waits_in_outbox = waits_in_outbox
        self._answers = answers
        self._commands = commands
        self._positions = positions
        self._bounds = bounds
        self._whole = whole
        self._letters_were_deleted = letters_were_deleted
        self._notes: list[str] = []

    def run(self) -> list[str]:
        """Judge all; what is worth a note and no fault."""
        for place, (first, end) in sorted(self._bounds.items()):
            low = max(first, self._commands[place].low) if place in self._commands else end
            if self._whole:
                self._judge_whole(place, low, end)
            elif missing := self._answers.missing(place, low, end):
                self._judge_part(place, low, end, missing)
        return self._notes

    def _judge_whole(self, place: Place, low: int, end: int) -> None:
        """Most places have nothing amiss, and their commands are not read."""
        position, letters_read = self._positions[place], self._answers.dead_letters[place]
        events_read = self._answers.marks[place].count - letters_read
        events, letters = position.decided - events_read, position.dead_lettered - letters_read
        if events == 0 and letters == 0 and not self._answers.missing(place, low, end):
            return
        if (events > 0 or letters > 0) and self._waits_in_outbox(place, *self._bounds[place]):
            self._blame_waiting(place, max(1, events + letters))
            return
        if events == 0 and letters > 0 and self._letters_were_deleted:
            self._notes.append(f"{place[0]}/{place[1]}: {letters} dead letters were deleted")
            return
        faults = self._answers.report.fault_count
        self._judge_commands(place, low, end)
        if (events or letters) and faults == self._answers.report.fault_count:
            told = f"the position tells of {position.decided} events and {position.dead_lettered} dead letters"
            self._answers.report.blame(f"{place[0]}/{place[1]}: {told}, {events_read} and {letters_read} are there")

    def _judge_part(self, place: Place, low: int, end: int, missing: int) -> None:
        """No letter excuses anything here: those that the position counts may be of another part."""
        unanswered = sum(
            1 for offset in self._read(place, low, end).marked(low, end) if offset not in self._answers.marks[place]
        )
        if unanswered and self._waits_in_outbox(place, low, end):
            self._blame_waiting(place, unanswered)
            return
        if unanswered and self._letters_were_deleted:
            text = f"of {missing} offsets not answered, dead letters that were deleted may be some: verify the whole"
            self._notes.append(f"{place[0]}/{place[1]}: {text}")
        self._judge_commands(place, low, end)

    def _blame_waiting(self, place: Place, count: int) -> None:
        self._answers.report.unanswered[place[0]] += count
        text = "decided, but still in the outbox: does a processor of the room run?"
        self._answers.report.blame(f"{place[0]}/{place[1]}: {counted(count, 'command')} {text}", count)

    def _judge_commands(self, place: Place, low: int, end: int) -> None:
        self._answers.judge(place, self._read(place, low, end), low, end)

    def _read(self, place: Place, low: int, end: int) -> Marks:
        return commands_there(self._reader, place, low, end)

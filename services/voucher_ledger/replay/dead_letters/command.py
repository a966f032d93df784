"""What `redrive` and `quarantine` of `voucher-ledger replay dead-letters` do."""

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC
from voucher_ledger.produce.pace import Pace
from voucher_ledger.replay.bar import Bar
from voucher_ledger.replay.dead_letters.choice import FOR_A_PERSON, Verdict
from voucher_ledger.replay.dead_letters.edit import edited
from voucher_ledger.replay.dead_letters.letters import Letter
from voucher_ledger.replay.dead_letters.look import only, print_json
from voucher_ledger.replay.dead_letters.marks import MarkKind, Marks, read_marks
from voucher_ledger.replay.dead_letters.quarantine import mark_all
from voucher_ledger.replay.dead_letters.redrive import REDRIVE, Edit, Ends, Rules, Sorted, redrive, sort_out
from voucher_ledger.replay.dead_letters.selection import Selection, Tally, tally
from voucher_ledger.replay.dead_letters.shown import (
    reasons_table,
    tally_document,
)
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.operations import recorded
from voucher_ledger.replay.printing import console
from voucher_ledger.replay.reading import Span, topic_ends
from voucher_ledger.replay.transactions import Transactions
from voucher_ledger.replay.windows import NO_WINDOWS, ToolWindows
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.settings import Settings

_MORE = "{:,} more than --max: run the command again for the next"


def drive(
    settings: Settings,
    selection: Selection,
    rules: Rules,
    *,
    apply: bool,
    reason: str | None,
    rate: float | None,
    edit: bytes | None,
    arguments: dict[str, Any],
    json: bool,
    windows: ToolWindows = NO_WINDOWS,
) -> int:
    """Drive the letters meant again (`apply`), or tell what would be driven.

    Returns:
        0 done; 1 letters that were meant are left for a person: see FOR_A_PERSON.
    """
    rules = replace(rules, is_edited=edit is not None)
    if not apply:
        _change(settings, selection, edit)
        parts = selection.spans(settings)
        ends = _ends(settings, selection)
        planned, found = _plan(settings, selection, rules, read_marks(settings), parts, ends)
        return _told(planned, found, rules, driven=None, json=json)
    pace = Pace(rate, time.monotonic)
    with recorded(settings, "dead-letters redrive", reason, arguments) as operation:
        change = _change(settings, selection, edit)  # in here: that an edit was refused is in the journal too
        # The producer before the marks are read: it settles what was left.
        with Transactions(settings, REDRIVE, windows) as producer:
            marks = read_marks(settings)
            parts = selection.spans(settings)  # what dies again meanwhile is the next run's
            ends = _ends(settings, selection)
            planned, found = _plan(settings, selection, rules, marks, parts, ends)
            operation.result.update(redriven=0, meant=found.count)
            now = Sorted()
            letters = sort_out(selection.letters(settings, marks, parts), rules, now, ends)
            driven = 0
            with Bar("redriving", planned.counts[Verdict.REDRIVE]) as bar:
                for driven in redrive(letters, producer, operation, pace, change):
                    bar.update(driven)
            operation.result["left"] = {what.value: count for what, count in now.counts.items()} | {"more": now.more}
            operation.result["left"].pop(Verdict.REDRIVE.value, None)
    return _told(now, found, rules, driven=driven, json=json)


def mark(
    settings: Settings,
    selection: Selection,
    kind: MarkKind,
    *,
    apply: bool,
    reason: str | None,
    count_max: int,
    rate: float | None,
    arguments: dict[str, Any],
    json: bool,
    windows: ToolWindows = NO_WINDOWS,
) -> int:
    """Quarantine the letters meant, or lift that (`apply`), or tell which they are."""
    verb = "quarantine" if kind is MarkKind.QUARANTINED else "quarantine --lift"
    if not apply:
        found = tally(selection.letters(settings, read_marks(settings)), 20)
        _tell_marks(found, kind, None, count_max, json)
        return ExitCode.DONE
    with (
        recorded(settings, f"dead-letters {verb}", reason, arguments) as operation,
        Transactions(settings, REDRIVE, windows) as producer,
    ):
        marks = read_marks(settings)
        found = tally(selection.letters(settings, marks), 20)
        letters = (one for one, _ in islice(selection.letters(settings, marks), count_max))  # and read no further
        done = 0
        with Bar(kind.value, min(found.count, count_max)) as bar:
            for done in mark_all(letters, kind, producer, operation, Pace(rate, time.monotonic)):
                bar.update(done)
    _tell_marks(found, kind, done, count_max, json)
    return ExitCode.DONE


def _change(settings: Settings, selection: Selection, edit: bytes | None) -> Edit | None:
    if edit is None:
        return None
    if len(selection.filter.places) != 1:
        raise Refused("--edit changes one letter: name it with --at PARTITION/OFFSET")
    (place,) = selection.filter.places
    return edited(only(settings, place)[0], edit)


def _ends(settings: Settings, selection: Selection) -> Ends | None:
    """Where the commands end, read after the letters' own ends; not asked of letters that a person names one by one."""
    return None if selection.filter.places else topic_ends(settings, [str(topic) for topic in COMMANDS_BY_TOPIC])


def _plan(
    settings: Settings, selection: Selection, rules: Rules, marks: Marks, parts: list[Span], ends: Ends | None
) -> tuple[Sorted, Tally]:
    found, planned = Tally(), Sorted()

    def counted() -> Iterator[tuple[Letter, Any]]:
        for letter, mark in selection.letters(settings, marks, parts):
            found.add(letter, mark, 20)
            yield letter, mark

    for _ in sort_out(counted(), rules, planned, ends):
        pass
    return planned, found


def _told(planned: Sorted, found: Tally, rules: Rules, *, driven: int | None, json: bool) -> int:
    left = {what.value: count for what, count in planned.counts.items() if what is not Verdict.REDRIVE}
    needs_a_person = sum(planned.counts[what] for what in FOR_A_PERSON)
    count = planned.counts[Verdict.REDRIVE] if driven is None else driven
    if json:
        print_json(
            {
                "applied": driven is not None, "redriven": count, "left": left, "more": planned.more,
                "attempts_max": rules.attempts_max, **tally_document(found),
            }
        )  # fmt: skip
    else:
        console().print(reasons_table(found))
        print(f"{count:,} {'would be redriven (a dry run: --apply does it)' if driven is None else 'redriven'}")
        for what, number in left.items():
            print(f"{number:,} left: {what}")
        if planned.more:
            print(_MORE.format(planned.more))
    return ExitCode.CHECK_FAILED if needs_a_person else ExitCode.DONE


def _tell_marks(found: Tally, kind: MarkKind, done: int | None, count_max: int, json: bool) -> None:
    count = min(found.count, count_max) if done is None else done
    more = max(0, found.count - count)
    if json:
        print_json({"applied": done is not None, kind.value: count, "more": more, **tally_document(found)})
        return
    console().print(reasons_table(found))
    print(f"{count:,} {f'would be {kind.value} (a dry run: --apply does it)' if done is None else kind.value}")
    if more:
        print(_MORE.format(more))

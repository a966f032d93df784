"""What `voucher-ledger replay dead-letters` does."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from voucher_ledger.produce.pace import Pace
from voucher_ledger.replay.bar import Bar
from voucher_ledger.replay.dead_letters.choice import Filter, Verdict
from voucher_ledger.replay.dead_letters.edit import edited
from voucher_ledger.replay.dead_letters.letters import Letter
from voucher_ledger.replay.dead_letters.marks import MarkKind, Marks, history, read_marks
from voucher_ledger.replay.dead_letters.quarantine import mark_all
from voucher_ledger.replay.dead_letters.redrive import REDRIVE, Rules, Sorted, redrive, sort_out
from voucher_ledger.replay.dead_letters.selection import Selection, Tally, tally
from voucher_ledger.replay.dead_letters.shown import (
    letter_document,
    letters_table,
    mark_document,
    reasons_table,
    tally_document,
)
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.operations import recorded
from voucher_ledger.replay.reading import Span
from voucher_ledger.replay.transactions import Transactions
from voucher_ledger.replay.windows import Windows
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.settings import Settings

_NO_WINDOWS = Windows()


def console() -> Console:
    """Tables go to standard output; where nothing says how wide that is, lines are as long as they need."""
    return Console() if sys.stdout.isatty() else Console(width=160)


def list_letters(settings: Settings, selection: Selection, *, count_max: int, json: bool) -> int:
    """Print how many letters there are by reason, and the first `count_max` of them."""
    found = tally(selection.letters(settings, read_marks(settings)), count_max)
    if json:
        _print({**tally_document(found), "letters": [letter_document(*pair) for pair in found.first]})
        return ExitCode.DONE
    shown = console()
    shown.print(reasons_table(found))
    if found.first:
        shown.print(letters_table(found.first))
    if found.count > len(found.first):
        print(f"{found.count - len(found.first):,} more (--max, or a narrower filter)")
    return ExitCode.DONE


def show(settings: Settings, place: tuple[int, int], *, json: bool) -> int:
    """Print one letter whole, with all that was ever done about it."""
    letter, mark = _only(settings, place)
    told = {**letter_document(letter, mark), "history": [mark_document(one) for one in history(settings, place)]}
    if json:
        _print(told)
        return ExitCode.DONE
    value = told.pop("value")
    for name in ("letter", "at", "cause", "error", "attempts", "state", "key", "key_encoding", "value_encoding"):
        print(f"{name:<15} {told[name]}")
    for name, held, encoding in told["headers"]:
        print(f"{'header':<15} {name}: {held}{'' if encoding == 'utf-8' else f' ({encoding})'}")
    for one in told["history"]:
        print(
            f"{'history':<15} {one['at']} {one['mark']} by {one['actor']}: {one['reason']} {one['to'] or ''}".rstrip()
        )
    print(f"\n{_readable(letter.value, value)}")
    return ExitCode.DONE


def export(settings: Settings, selection: Selection, target: Path, *, count_max: int) -> int:
    """Write the letters meant as NDJSON to a file, or to standard output (`-`). A file is there whole or not at all."""
    letters = selection.letters(settings, read_marks(settings))
    if str(target) == "-":
        for line in _lines(letters, count_max):
            sys.stdout.buffer.write(line)
        return ExitCode.DONE
    if target.exists():
        raise Refused(f"{target} exists: choose another name")
    partial = target.with_name(f"{target.name}.partial")
    count = 0
    with partial.open("wb") as stream, Bar("exporting dead letters", None) as bar:
        for line in _lines(letters, count_max):
            stream.write(line)
            count += 1
            bar.update(count)
    partial.rename(target)
    print(f"{count:,} dead letters written to {target}")
    return ExitCode.DONE


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
    windows: Windows = _NO_WINDOWS,
) -> int:
    """Drive the letters meant again (`apply`), or tell what would be driven.

    Returns:
        0 done; 1 letters that were meant are left for a person: they died too often, or come from no command topic.
    """
    if edit is not None:
        if len(selection.filter.places) != 1:
            raise Refused("--edit changes one letter: name it with --at PARTITION/OFFSET")
        edited(_only(settings, next(iter(selection.filter.places)))[0], edit)
    if not apply:
        planned, found = _plan(settings, selection, rules, read_marks(settings), selection.spans(settings))
        return _told(planned, found, rules, driven=None, json=json)
    pace = Pace(rate, time.monotonic)
    with (
        recorded(settings, "dead-letters redrive", reason, arguments) as operation,
        Transactions(settings, REDRIVE, windows) as producer,  # before the marks are read: it settles what was left
    ):
        marks = read_marks(settings)
        parts = selection.spans(settings)  # what dies again meanwhile is the next run's
        planned, found = _plan(settings, selection, rules, marks, parts)
        operation.result.update(redriven=0, meant=found.count)
        now = Sorted()
        letters = sort_out(selection.letters(settings, marks, parts), rules, now)
        driven = 0
        with Bar("redriving", planned.counts[Verdict.REDRIVE]) as bar:
            change = None if edit is None else edited(_only(settings, next(iter(selection.filter.places)))[0], edit)
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
    arguments: dict[str, Any],
    json: bool,
    windows: Windows = _NO_WINDOWS,
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
        letters = (one for place, (one, _) in enumerate(selection.letters(settings, marks)) if place < count_max)
        done = 0
        with Bar(kind.value, min(found.count, count_max)) as bar:
            for done in mark_all(letters, kind, producer, operation):
                bar.update(done)
    _tell_marks(found, kind, done, count_max, json)
    return ExitCode.DONE


def _plan(
    settings: Settings, selection: Selection, rules: Rules, marks: Marks, parts: list[Span]
) -> tuple[Sorted, Tally]:
    found, planned = Tally(), Sorted()

    def counted() -> Iterator[tuple[Letter, Any]]:
        for letter, mark in selection.letters(settings, marks, parts):
            found.add(letter, mark, 20)
            yield letter, mark

    for _ in sort_out(counted(), rules, planned):
        pass
    return planned, found


def _told(planned: Sorted, found: Tally, rules: Rules, *, driven: int | None, json: bool) -> int:
    left = {what.value: count for what, count in planned.counts.items() if what is not Verdict.REDRIVE}
    needs_a_person = planned.counts[Verdict.DIED_TOO_OFTEN] + planned.counts[Verdict.NO_COMMAND_TOPIC]
    count = planned.counts[Verdict.REDRIVE] if driven is None else driven
    if json:
        _print(
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
            print(f"{planned.more:,} more than --max: run the command again for the next")
    return ExitCode.CHECK_FAILED if needs_a_person else ExitCode.DONE


def _tell_marks(found: Tally, kind: MarkKind, done: int | None, count_max: int, json: bool) -> None:
    count = min(found.count, count_max) if done is None else done
    if json:
        _print({"applied": done is not None, kind.value: count, **tally_document(found)})
        return
    console().print(reasons_table(found))
    print(f"{count:,} {f'would be {kind.value} (a dry run: --apply does it)' if done is None else kind.value}")


def _only(settings: Settings, place: tuple[int, int]) -> tuple[Letter, Any]:
    one = Selection(Filter(places=frozenset([place])))
    found = next(one.letters(settings, read_marks(settings)), None)
    if found is None:
        raise Refused(f"there is no dead letter at {place[0]}/{place[1]}")
    return found


def _lines(letters: Iterator[tuple[Letter, Any]], count_max: int) -> Iterator[bytes]:
    for number, pair in enumerate(letters):
        if number >= count_max:
            print(f"stopped at --max {count_max:,}; there are more", file=sys.stderr)
            return
        yield orjson.dumps(letter_document(*pair)) + b"\n"


def _readable(value: bytes | None, text: str | None) -> str:
    try:
        return orjson.dumps(orjson.loads(value or b""), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return "(no value)" if text is None else text


def _print(document: dict[str, Any]) -> None:
    print(orjson.dumps(document).decode())

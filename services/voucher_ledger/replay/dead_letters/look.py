"""What `list`, `show` and `export` of `voucher-ledger replay dead-letters` do: they change nothing."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from voucher_ledger.core.wording import counted
from voucher_ledger.replay.bar import Bar
from voucher_ledger.replay.dead_letters.choice import Filter
from voucher_ledger.replay.dead_letters.letters import Letter
from voucher_ledger.replay.dead_letters.marks import Mark, history, read_marks
from voucher_ledger.replay.dead_letters.selection import Selection, tally
from voucher_ledger.replay.dead_letters.shown import (
    letter_document,
    letters_table,
    mark_document,
    mark_line,
    plain,
    reasons_table,
    tally_document,
)
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.operations import Operation, reason_or, recorded
from voucher_ledger.replay.printing import console
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.settings import Settings

EXPORT_REASON = "an export: nothing is changed"


def list_letters(settings: Settings, selection: Selection, *, count_max: int, json: bool) -> int:
    """Print how many letters there are by reason, and the first `count_max` of them."""
    found = tally(selection.letters(settings, read_marks(settings)), count_max)
    if json:
        print_json({**tally_document(found), "letters": [letter_document(*pair) for pair in found.first]})
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
    letter, mark = only(settings, place)
    marks, told = history(settings, place), letter_document(letter, mark)
    if json:
        print_json({**told, "history": [mark_document(one) for one in marks]})
        return ExitCode.DONE
    value = told.pop("value")
    for name in ("letter", "at", "cause", "error", "attempts", "state", "key", "key_encoding", "value_encoding"):
        print(f"{name:<15} {plain(told[name])}")
    for name, held, encoding in told["headers"]:
        print(f"{'header':<15} {plain(name)}: {plain(held)}{'' if encoding == 'utf-8' else f' ({encoding})'}")
    for one in marks:
        print(f"{'history':<15} {mark_line(one)}")
    print(f"\n{plain(_readable(letter.value, value))}")
    return ExitCode.DONE


def export(
    settings: Settings,
    selection: Selection,
    target: Path,
    *,
    count_max: int,
    reason: str | None,
    arguments: dict[str, Any],
) -> int:
    """Write the letters meant as NDJSON to a file, or to standard output (`-`). A file is there whole or not at all.
    Users' ids leave the system by it, so the journal tells who took which ones.
    """
    is_file = str(target) != "-"
    with recorded(settings, "dead-letters export", reason_or(reason, EXPORT_REASON), arguments) as operation:
        if is_file and target.exists():
            raise Refused(f"{target} exists: choose another name")
        lines = _counted(_lines(selection.letters(settings, read_marks(settings)), count_max), operation)
        if is_file:
            partial = target.with_name(f"{target.name}.partial")
            with partial.open("wb") as stream, Bar("exporting dead letters", None) as bar:
                for line in lines:
                    stream.write(line)
                    bar.advance(1)
            partial.rename(target)
        else:
            for line in lines:
                sys.stdout.buffer.write(line)
    if is_file:
        count = operation.result["exported"]
        print(f"{counted(count, 'dead letter')} written to {target}")
    return ExitCode.DONE


def only(settings: Settings, place: tuple[int, int]) -> tuple[Letter, Mark | None]:
    """The letter at a place, with its last mark. Raises Refused where there is none."""
    one = Selection(Filter(places=frozenset([place])))
    found = next(one.letters(settings, read_marks(settings)), None)
    if found is None:
        raise Refused(f"there is no dead letter at {place[0]}/{place[1]}")
    return found


def print_json(document: dict[str, Any]) -> None:
    """One line."""
    print(orjson.dumps(document).decode())


def _counted(lines: Iterator[bytes], operation: Operation) -> Iterator[bytes]:
    """`lines`; how many were taken is in the journal, also of an export that failed in the midst."""
    operation.result["exported"] = 0
    for line in lines:
        operation.result["exported"] += 1
        yield line


def _lines(letters: Iterator[tuple[Letter, Mark | None]], count_max: int) -> Iterator[bytes]:
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

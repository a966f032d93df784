"""Dead letters for people and for programs."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Table

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.validation_reasons import escaped
from voucher_ledger.core.wording import counted
from voucher_ledger.produce.layouts import Fitting, Rows
from voucher_ledger.replay.dead_letters.choice import state_of
from voucher_ledger.replay.dead_letters.letters import Letter, text_of
from voucher_ledger.replay.dead_letters.marks import Mark
from voucher_ledger.replay.dead_letters.selection import Tally

CELL_CHARACTERS_MAX = 100
# A reason that had less room beside the other columns stands below them.
REASON_CELLS_MIN = 40


def plain(text: object, characters_max: int | None = None) -> str:
    """What anyone may have sent, for a terminal, which would obey control characters: they are escaped, but for line
    breaks and tabs. Cut where it has more than `characters_max`.
    """
    whole = str(text)
    cut = whole if characters_max is None or len(whole) <= characters_max else whole[:characters_max] + "…"
    return escaped(cut, kept="\n\t")


def letter_document(letter: Letter, mark: Mark | None) -> dict[str, Any]:
    """One letter as JSON: bytes as text where they are UTF-8, else in base64 (`*_encoding` says which)."""
    key, key_encoding = text_of(letter.key)
    value, value_encoding = text_of(letter.value)
    headers = [[name, *text_of(held)] for name, held in letter.headers]
    return {
        "letter": letter.name, "at": rfc3339(letter.time_ms), "cause": letter.cause, "topic": letter.topic,
        "error": letter.error, "attempts": letter.attempts, "state": state_of(mark).value,
        "mark": None if mark is None else mark_document(mark),
        "key": key, "key_encoding": key_encoding, "value": value, "value_encoding": value_encoding, "headers": headers,
    }  # fmt: skip


def mark_document(mark: Mark) -> dict[str, Any]:
    """One mark as JSON."""
    return {
        "mark": mark.kind.value, "at": rfc3339(mark.time_ms), "actor": mark.actor, "reason": mark.reason, "to": mark.to,
        "edited": mark.edited, "operation_id": mark.operation_id,
    }  # fmt: skip


def mark_line(mark: Mark) -> str:
    """One mark on one line: when, what, by whom and why, and where the record lies that was sent."""
    sent = f" -> {mark.to}" if mark.to else ""
    edited = " (edited)" if mark.edited else ""
    line = f"{rfc3339(mark.time_ms)} {mark.kind.value} by {mark.actor}: {mark.reason}{sent}{edited}"
    return plain(line).replace("\n", " ")


def tally_document(tally: Tally) -> dict[str, Any]:
    """The counts as JSON."""
    return {
        "count": tally.count,
        "states": {state.value: count for state, count in sorted(tally.states.items())},
        "reasons": [
            {"topic": topic, "reason": reason, "count": count} for (topic, reason), count in tally.reasons.most_common()
        ],
    }


def reasons_table(tally: Tally) -> Table:
    """The histogram of reasons."""
    table = Table(title=counted(tally.count, "dead letter"), box=SIMPLE, padding=(0, 1))
    table.add_column("count", justify="right")
    table.add_column("", no_wrap=True)
    table.add_column("topic", no_wrap=True)
    table.add_column("reason, without what differs", overflow="fold")
    most = max(tally.reasons.values(), default=1)
    for (topic, reason), count in tally.reasons.most_common():
        table.add_row(f"{count:,}", "█" * max(1, round(20 * count / most)), topic or "unknown", escape(plain(reason)))
    return table


def letters_table(letters: Iterable[tuple[Letter, Mark | None]]) -> Fitting:
    """One row a letter; on a narrow terminal its reason, then its key, then its time and tries stand below it."""
    layout = partial(Rows, [_letter_row(*pair) for pair in letters], right=("tries",))
    return Fitting(
        layout(
            columns=("letter", "at", "record", "key", "tries", "state", "reason"),
            folded={"reason": REASON_CELLS_MIN},
            roomy=True,
        ),
        layout(columns=("letter", "at", "record", "key", "tries", "state"), below=[("reason",)]),
        layout(columns=("letter", "at", "record", "tries", "state"), below=[("key",), ("reason",)]),
        layout(columns=("letter", "record", "state"), below=[("at", "tries", "key"), ("reason",)]),
    )


def _letter_row(letter: Letter, mark: Mark | None) -> dict[str, str]:
    key, _ = text_of(letter.key)
    return {
        "letter": letter.name,
        "at": rfc3339(letter.time_ms),
        "record": letter.cause,
        "key": plain("-" if key is None else key, CELL_CHARACTERS_MAX),
        "tries": str(letter.attempts),
        "state": state_of(mark).value,
        "reason": plain(letter.error, CELL_CHARACTERS_MAX),
    }

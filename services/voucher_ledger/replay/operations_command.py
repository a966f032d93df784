"""What `voucher-ledger replay operations` does."""

from dataclasses import asdict
from functools import partial

from voucher_ledger.produce.layouts import Fitting, Rows
from voucher_ledger.replay.dead_letters.shown import plain
from voucher_ledger.replay.operations import Entry, latest
from voucher_ledger.replay.printing import console, json_text
from voucher_ledger.replay.result_words import result_in_words
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.settings import Settings

# Where they had less room beside the other columns, they stand below them.
WHY_CELLS_MIN = 20
RESULT_CELLS_MIN = 40


def run(settings: Settings, *, count_max: int, json: bool) -> int:
    """Print the last `count_max` operations. Raises Unreachable, NotSetUp."""
    entries = latest(settings, count_max)
    if json:
        for entry in entries:
            print(document(entry))
        return ExitCode.DONE
    console().print(_table(entries))
    return ExitCode.DONE


def document(entry: Entry) -> str:
    """One operation as JSON."""
    return json_text(asdict(entry))


def _table(entries: list[Entry]) -> Fitting:
    """A row an operation; on a narrow terminal why and result, then who, stand below it at full width."""
    layout = partial(Rows, [_row(entry) for entry in entries])
    return Fitting(
        layout(
            columns=("started", "verb", "who", "why", "outcome", "result"),
            folded={"why": WHY_CELLS_MIN, "result": RESULT_CELLS_MIN},
            roomy=True,
        ),
        layout(columns=("started", "verb", "who", "outcome"), below=[("why",), ("result",)]),
        layout(columns=("started", "verb", "outcome"), below=[("who",), ("why",), ("result",)]),
    )


def _row(entry: Entry) -> dict[str, str]:
    return {
        "started": f"{entry.started_at:%Y-%m-%d %H:%M:%S}",
        "verb": entry.verb,
        "who": plain(f"{entry.actor} ({entry.login})"),
        "why": plain(entry.reason),
        "outcome": entry.outcome,
        "result": result_in_words(entry.result),
    }

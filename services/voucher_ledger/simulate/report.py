"""Shows a play: a live line on a terminal, plain lines where there is none, tables at its end."""

import time
from typing import TextIO

from rich.progress import TaskProgressColumn, TimeElapsedColumn
from rich.table import Table

from voucher_ledger.produce.bar import Drawn
from voucher_ledger.simulate.scenario import Scenario
from voucher_ledger.simulate.tally import Tally

PLAIN_LINE_SECONDS = 5.0


def line(tally: Tally) -> str:
    """A tally in one line."""
    return (
        f"{tally.phase}: {tally.commands:,} sent, {tally.answered:,} answered, {tally.granted:,} granted, "
        f"{tally.answers['payment.settled']:,} paid, {tally.unanswered:,} waiting"
    )


class Reporter(Drawn):
    """Takes the tallies of a play. The bar's whole is the claims; what follows from them is in its text."""

    def __init__(self, scenario: Scenario, errors: TextIO) -> None:
        super().__init__("opening", scenario.claims, TaskProgressColumn(), TimeElapsedColumn(), errors=errors)
        self._errors = errors
        self._next_seconds = 0.0

    def update(self, tally: Tally) -> None:
        """Show a tally: at once on a terminal, else every PLAIN_LINE_SECONDS and at the end."""
        if not self._bar.disable:
            self._bar.update(self._task, description=line(tally), completed=tally.sent["claim.commands"])
        elif tally.phase in ("done", "stopped") or time.monotonic() >= self._next_seconds:
            self._next_seconds = time.monotonic() + PLAIN_LINE_SECONDS
            print(line(tally), file=self._errors, flush=True)


def tables(tally: Tally) -> list[Table]:
    """What a play has come to: records by topic, answers by type, refusals by reason."""
    seconds = max(tally.elapsed_seconds, 0.001)
    sent = Table(title=f"Sent in {seconds:.1f} s ({tally.commands / seconds:,.0f} a second)")
    sent.add_column("topic")
    sent.add_column("commands", justify="right")
    for topic, count in sorted(tally.sent.items()):
        sent.add_row(topic, f"{count:,}")
    sent.add_row("rubbish (dead letters)", f"{tally.rubbish:,}")
    answers = Table(title="Answers")
    answers.add_column("type")
    answers.add_column("first", justify="right")
    answers.add_column("duplicates", justify="right")
    for type_ in sorted(set(tally.answers) | set(tally.duplicates)):
        answers.add_row(type_, f"{tally.answers[type_]:,}", f"{tally.duplicates[type_]:,}")
    refusals = Table(title="Refusals")
    refusals.add_column("type")
    refusals.add_column("reason")
    refusals.add_column("count", justify="right")
    for (type_, reason), count in sorted(tally.refusals.items()):
        refusals.add_row(type_, reason, f"{count:,}")
    return [sent, answers, refusals]

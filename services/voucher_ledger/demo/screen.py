"""Shows a demo under way: a live table on a terminal, plain lines where there is none."""

import time
from types import TracebackType
from typing import NamedTuple, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from voucher_ledger.demo.watch import Watch
from voucher_ledger.simulate.scenario import Scenario
from voucher_ledger.simulate.tally import Tally

PLAIN_LINE_SECONDS = 5.0
BAR_CHARACTERS = 30
WAITING_PHASE = "vouchers run out"


class Moment(NamedTuple):
    """What is shown of a moment. `demand` counts claims sent, `waiting` commands sent and not answered yet;
    `queueing` claimants in the waiting room; `lag_seconds` is how far deciding claims is behind.
    """

    phase: str
    elapsed_seconds: float
    demand: int
    granted: int
    refused: int
    reserved: int
    paid: int
    open_vouchers: int
    queueing: int
    waiting: int
    lag_seconds: float
    claims_per_second: float


def moment(tally: Tally, watch: Watch) -> Moment:
    """Take it from a play's tally and the ledger's positions."""
    quiet = tally.phase == "answers" and tally.unanswered <= 0
    return Moment(
        phase=WAITING_PHASE if quiet else tally.phase,
        elapsed_seconds=tally.elapsed_seconds,
        demand=tally.sent["claim.commands"],
        granted=tally.granted,
        refused=sum(tally.refusals.values()),
        reserved=tally.answers["order.reserved"],
        paid=tally.answers["payment.settled"],
        open_vouchers=tally.open_vouchers + tally.held_vouchers,
        queueing=tally.waiting,
        waiting=max(0, tally.unanswered),
        lag_seconds=watch.lag_seconds if watch.decided < tally.sent["claim.commands"] else 0.0,
        claims_per_second=watch.rate_per_second,
    )


class Screen:
    """Takes the moments of a play, and lines to say in between. `say` may be called from any thread."""

    def __init__(self, scenario: Scenario, console: Console) -> None:
        self._scenario = scenario
        self._console = console
        self._live: Live | None = None
        self._next_seconds = 0.0
        self._shown: Moment | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(line, style="bold yellow", highlight=False)

    def show(self, now: Moment) -> None:
        """Show a moment: at once on a terminal, else every PLAIN_LINE_SECONDS and at the end."""
        if self._live is not None:
            self._live.update(self._table(now))
        elif now.phase in ("done", "stopped") or time.monotonic() >= self._next_seconds:
            self._next_seconds = time.monotonic() + PLAIN_LINE_SECONDS
            # While vouchers wait for their expiry nothing changes, and one line says it.
            unchanged = self._shown is not None and now._replace(elapsed_seconds=0) == self._shown
            if unchanged:
                return
            self._shown = now._replace(elapsed_seconds=0)
            self._console.print(self._line(now), highlight=False, soft_wrap=True)

    def _line(self, now: Moment) -> str:
        queueing = f", {now.queueing:,} in the waiting room" if now.queueing else ""
        return (
            f"{now.elapsed_seconds:5.1f} s  {now.phase}: {now.demand:,} claims sent, {now.granted:,} granted, "
            f"{now.refused:,} commands refused, {now.reserved:,} orders, {now.paid:,} paid, {now.open_vouchers:,} open"
            f"{queueing}; {now.waiting:,} commands not answered yet, claims {now.lag_seconds:.1f} s behind; "
            f"{now.claims_per_second:,.0f} claims/s"
        )

    def _table(self, now: Moment) -> Table:
        table = Table(title=f"{now.phase}, {now.elapsed_seconds:.0f} s", title_justify="left", show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(justify="right", no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_row("demand", f"{now.demand:,}", _bar(now.demand, self._scenario.claims))
        table.add_row("granted", f"{now.granted:,}", _bar(now.granted, self._scenario.cards))
        table.add_row("refused", f"{now.refused:,}", "claims, orders and payments")
        table.add_row("orders", f"{now.reserved:,}", f"{now.paid:,} paid")
        table.add_row("vouchers open", f"{now.open_vouchers:,}", "granted or held, neither spent nor expired")
        if self._scenario.when_empty == "queue":
            table.add_row("waiting room", f"{now.queueing:,}", "claimants wait for their turn")
        table.add_row("lag", f"{now.waiting:,}", f"records, {now.lag_seconds:.1f} s")
        table.add_row("throughput", f"{now.claims_per_second:,.0f}", "claims decided a second")
        return table


def _bar(done: int, whole: int) -> str:
    filled = min(BAR_CHARACTERS, done * BAR_CHARACTERS // whole)
    return f"{'█' * filled}{'░' * (BAR_CHARACTERS - filled)} of {whole:,}"

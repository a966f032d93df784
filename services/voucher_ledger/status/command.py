"""What `voucher-ledger status` does."""

import sys
import threading

from rich.console import Console
from rich.live import Live

from voucher_ledger.run import interrupts
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.run.failures import failed
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.status.read import Reader
from voucher_ledger.status.render import screen, tables
from voucher_ledger.status.snapshot import Snapshot

WATCH_SECONDS = 1.0


@interrupts.ended_by_signals()
def run(settings: Settings, *, watch: bool = False, json: bool = False, stop: threading.Event | None = None) -> int:
    """Print positions, lags and balances.

    Args:
        settings: where Kafka and Postgres are.
        watch: go on every WATCH_SECONDS until Ctrl-C or `stop`, on a terminal as much as fits.
        json: one JSON object (with `watch` one a line) instead of tables.
        stop: ends a watch.

    Returns:
        0 done; 130 interrupted before the first look was shown (Ctrl-C is how a watch ends: 0), 143 terminated.

    Raises NotSetUp, and Unreachable of the first look: of later ones a watch tells, and looks again.
    """
    stop = stop or threading.Event()
    try:
        reader = Reader(settings, application="status")
        try:
            _show(reader, watch, json, stop)
        finally:
            reader.close()
    except KeyboardInterrupt as error:
        word, code = interrupts.told(error)
        return failed(f"{word}; it only reads, so nothing is left", code)
    return ExitCode.DONE


def _show(reader: Reader, watch: bool, json: bool, stop: threading.Event) -> None:
    # Where nothing says how wide it is, lines are as long as the widest table.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    snapshot = reader.snapshot()
    if not watch:
        _print(snapshot, console, json)
        return
    try:
        _watch(reader, snapshot, console, json, stop)
    except interrupts.Terminated:
        raise
    except KeyboardInterrupt:
        return


def _watch(reader: Reader, snapshot: Snapshot, console: Console, json: bool, stop: threading.Event) -> None:
    """Show `snapshot`, then later ones until `stop`."""
    if not json and console.is_terminal:
        with Live(screen(snapshot, console), console=console, auto_refresh=False, screen=True) as live:
            while not stop.wait(WATCH_SECONDS):
                found = _tried(reader)
                live.update(found if isinstance(found, str) else screen(found, console), refresh=True)
        return
    _print(snapshot, console, json)
    while not stop.wait(WATCH_SECONDS):
        found = _tried(reader)
        if isinstance(found, str):
            print(found, file=sys.stderr, flush=True)
        else:
            _print(found, console, json)


def _tried(reader: Reader) -> Snapshot | str:
    """The next snapshot; what does not answer, where something does not: who watches a restart wants to see its end."""
    try:
        return reader.snapshot()
    except Unreachable as error:
        return f"error: {error}; looking again"


def _print(snapshot: Snapshot, console: Console, json: bool) -> None:
    if json:
        print(snapshot.to_json(), flush=True)
    else:
        console.print(tables(snapshot))

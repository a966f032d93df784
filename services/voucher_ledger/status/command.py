"""What `voucher-ledger status` does."""

import sys
import threading

from rich.console import Console
from rich.live import Live

from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.errors import NotSetUp, Unreachable
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.status.read import Reader
from voucher_ledger.status.render import screen, tables

WATCH_SECONDS = 1.0


def run(settings: Settings, *, watch: bool = False, json: bool = False, stop: threading.Event | None = None) -> int:
    """Print positions, lags and balances.

    Args:
        settings: where Kafka and Postgres are.
        watch: go on every WATCH_SECONDS until Ctrl-C or `stop`, on a terminal as much as fits.
        json: one JSON object (with `watch` one a line) instead of tables.
        stop: ends a watch.

    Returns:
        0 done; 2 topics or tables do not exist yet; 3 Kafka or Postgres does not answer.
    """
    stop = stop or threading.Event()
    try:
        with postgres.connect(settings.postgres, application="status") as connection:
            reader = Reader(settings, connection)
            try:
                _show(reader, watch, json, stop)
            finally:
                reader.close()
    except NotSetUp as error:
        return _fail(error, ExitCode.USAGE)
    except Unreachable as error:
        return _fail(error, ExitCode.UNREACHABLE)
    except KeyboardInterrupt:
        return ExitCode.DONE
    return ExitCode.DONE


def _show(reader: Reader, watch: bool, json: bool, stop: threading.Event) -> None:
    # Where nothing says how wide it is, lines are as long as the widest table.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    if watch and not json and console.is_terminal:
        with Live(screen(reader.snapshot(), console), console=console, auto_refresh=False, screen=True) as live:
            while not stop.wait(WATCH_SECONDS):
                live.update(screen(reader.snapshot(), console), refresh=True)
        return
    while True:
        snapshot = reader.snapshot()
        if json:
            print(snapshot.to_json(), flush=True)
        else:
            console.print(tables(snapshot))
        if not watch or stop.wait(WATCH_SECONDS):
            return


def _fail(reason: object, code: ExitCode) -> int:
    print(f"voucher-ledger status: {reason}", file=sys.stderr)
    return code

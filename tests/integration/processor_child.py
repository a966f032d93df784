"""A processor as a child process of a test: it can be told to die in a window, or to work without a guard."""

import argparse
import signal
import sys
from pathlib import Path

from voucher_ledger.run.rooms import ROOMS
from voucher_ledger.run.single import stop_on_signals
from voucher_ledger.runtime import logs, processor, settings
from voucher_ledger.runtime.windows import Windows

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.integration.guards import FAULTS, GUARDS, strike


class Dying(Windows):
    """Sends `signal_number` to this process the `nth` time that it comes to `window`."""

    def __init__(self, window: str, nth: int, signal_number: int) -> None:
        self._signal_number = signal_number
        self._left = nth
        setattr(self, window, self._die)

    def _die(self) -> None:
        self._left -= 1
        if self._left == 0:
            strike(self._signal_number)


def main() -> None:
    """Run a room as the tests want it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("room")
    parser.add_argument("--instance")
    parser.add_argument("--window", help="before_decide, before_commit, after_commit, in_transaction, after_publish")
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--signal", default="SIGKILL")
    parser.add_argument("--guard", help="the guard of tests/integration/guards.py to take out")
    parser.add_argument("--fault", help="the fault of tests/integration/guards.py to plant")
    arguments = parser.parse_args()
    logs.configure(verbose=True)
    loaded = settings.load()
    if arguments.guard:
        GUARDS[arguments.guard]()
    if arguments.fault:
        FAULTS[arguments.fault]()
    windows = Windows()
    if arguments.window:
        windows = Dying(arguments.window, arguments.nth, signal.Signals[arguments.signal])
    room = ROOMS[arguments.room](loaded)
    processor.run(loaded, room, stop_on_signals(), instance=arguments.instance, windows=windows)


if __name__ == "__main__":
    main()

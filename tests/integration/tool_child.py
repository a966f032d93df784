"""The command line as a child process of a test, which dies in a tool's window: `tool_child.py WINDOW NTH ARGS...`."""

import signal
import sys
import threading

from voucher_ledger import cli
from voucher_ledger.replay.windows import ToolWindows
from voucher_ledger.runtime.windows import Windows


def main() -> int:
    """Run the program; SIGKILL it the nth time that it comes to the window (`-`: to none)."""
    window, left, arguments = sys.argv[1], int(sys.argv[2]), sys.argv[3:]

    def die(_self: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            signal.pthread_kill(threading.get_ident(), signal.SIGKILL)  # goes no further; see guards.strike

    if window != "-":
        found = [kind for kind in (ToolWindows, Windows) if hasattr(kind, window)]
        assert found, window
        for kind in found:
            setattr(kind, window, die)
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())

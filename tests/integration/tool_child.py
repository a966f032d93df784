"""The command line as a child process of a test, which dies in a window of a tool: `tool_child.py WINDOW NTH ARGS...`."""

import os
import signal
import sys

from voucher_ledger import cli
from voucher_ledger.replay.windows import Windows


def main() -> int:
    """Run the program; SIGKILL it the nth time that it comes to the window (`-`: to none)."""
    window, left, arguments = sys.argv[1], int(sys.argv[2]), sys.argv[3:]

    def die(_self: Windows) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if window != "-":
        assert hasattr(Windows, window), window
        setattr(Windows, window, die)
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main())

"""A signal that comes while the program is still being imported ends it as later ones do: by an exit code, in silence.

Only what is cheap to import may be imported here.
"""

import signal
import sys
from collections.abc import Callable
from types import FrameType

_ENDING: dict[int, Callable[[int, FrameType | None], object] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
}


def _end(number: int, _frame: FrameType | None) -> None:
    """As a shell tells it: 128 and the signal's number. Nothing has begun, so there is nothing to tell."""
    sys.exit(128 + number)


def guard() -> None:
    """Let SIGINT and SIGTERM end the program so; one that is ignored, as under nohup, stays ignored."""
    for number, usual in _ENDING.items():
        if signal.getsignal(number) is usual:
            signal.signal(number, _end)


def release() -> None:
    """Leave them to what has been imported: Ctrl-C is a KeyboardInterrupt again, SIGTERM the system's."""
    for number, usual in _ENDING.items():
        if signal.getsignal(number) is _end:
            signal.signal(number, usual)

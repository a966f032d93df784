"""Ctrl-C and SIGTERM end a command as exceptions, so that it can clean up and say what it leaves."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from voucher_ledger import early_signals
from voucher_ledger.run.exit_codes import INTERRUPTED, TERMINATED


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever cleans up after Ctrl-C cleans up after this too (exit code 143)."""


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Python leaves SIGTERM to the system, which ends a process at once, and not at all the first of a container. Here
    it raises Terminated.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # no other may say what a signal does
        yield
        return
    early_signals.release()
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def is_untold(stop: SystemExit) -> bool:
    """Whether typer made this of a Ctrl-C that no command had caught: it says nothing of it."""
    ending = stop.__context__
    return stop.code == INTERRUPTED and ending is not None and isinstance(ending.__cause__, KeyboardInterrupt)


def told(error: KeyboardInterrupt) -> tuple[str, int]:
    """The word for people, and the exit code for shells."""
    return told_of(signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT)


def told_of(number: int) -> tuple[str, int]:
    """The same of a signal that was caught by a handler: SIGTERM or SIGINT."""
    return ("terminated", TERMINATED) if number == signal.SIGTERM else ("interrupted", INTERRUPTED)

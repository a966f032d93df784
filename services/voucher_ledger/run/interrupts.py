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


# What the handler has raised in this process, for `kept`.
_raised: list[KeyboardInterrupt] = []


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, SIGTERM Terminated: Python leaves that to the system, which ends a process at
    once, and not at all the first of a container.

    Python's own handler of Ctrl-C won't do. It raises a class without an instance, and where that happens in a callback
    of Kafka's client, the client drops it, and its `poll` or `flush` ends with a SystemError.
    """
    if threading.current_thread() is not threading.main_thread():  # no other may say what a signal does
        yield
        return
    early_signals.release()
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, _end)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # one that is ignored, as under nohup, stays so
        before[signal.SIGINT] = signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        _raised.clear()  # their frames hold clients and streams, which are to end with the command


def _end(number: int, _frame: FrameType | None) -> None:
    _raised.append(Terminated() if number == signal.SIGTERM else KeyboardInterrupt())
    raise _raised[-1]


@contextmanager
def kept() -> Iterator[None]:
    """Around a call of Kafka's client that looks at signals itself: where one comes while `produce` reads a header, the
    client raises a TypeError of its own in its place. Raises what the signal did.
    """
    before = len(_raised)
    try:
        yield
    except Exception as error:
        if len(_raised) > before:
            raise _raised[-1] from error
        raise


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

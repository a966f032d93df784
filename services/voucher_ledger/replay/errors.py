"""How a `replay` verb ends without having done what it was asked for."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from voucher_ledger import early_signals
from voucher_ledger.run.exit_codes import INTERRUPTED, TERMINATED, ExitCode


class Refused(Exception):
    """The tool will not do this, and has not; the text says why and what to do (exit code 1)."""


class Misnamed(Exception):
    """The command line names a partition that the topic does not have (exit code 2)."""


class Unread(Exception):
    """A topic could not be read to where it was to be read (exit code 3)."""


class Terminated(KeyboardInterrupt):
    """SIGTERM: whatever cleans up after Ctrl-C cleans up after this too (exit code 143)."""


def ended(action: Callable[[], int], *, interrupted: str = "the same command goes on where it stopped") -> int:
    """What `action` returns; what ended it early is told on standard error and becomes an exit code."""
    try:
        with _ended_by_sigterm():
            return action()
    except Refused as refusal:
        return _told(str(refusal), ExitCode.CHECK_FAILED)
    except Misnamed as error:
        return _told(str(error), ExitCode.USAGE)
    except Unread as error:
        return _told(str(error), ExitCode.UNREACHABLE)
    except Terminated:
        return _told(f"terminated; {interrupted}", TERMINATED)
    except KeyboardInterrupt:
        return _told(f"interrupted; {interrupted}", INTERRUPTED)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Python leaves SIGTERM to the system, which ends a process at once, and not at all the first of a container."""

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


def _told(text: str, code: int) -> int:
    print(f"error: {text}", file=sys.stderr)
    return code

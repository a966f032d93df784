"""How a `replay` verb ends without having done what it was asked for."""

import errno
from collections.abc import Callable

from voucher_ledger.run import interrupts
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.run.failures import failed

# What a refusal because of live processors ends with.
KILLED_LEAVE = "one that was killed leaves its group after the session timeout (6 s, unless set otherwise)"


class Refused(Exception):
    """The tool will not do this, and has not; the text says why and what to do (exit code 1)."""


class Misnamed(Exception):
    """The command line names a partition that the topic does not have (exit code 2)."""


class Unread(Exception):
    """A topic could not be read to where it was to be read (exit code 3)."""


def ended(action: Callable[[], int], *, interrupted: str = "the same command goes on where it stopped") -> int:
    """What `action` returns; what ended it early is told on standard error and becomes an exit code."""
    try:
        with interrupts.ended_by_signals():
            return action()
    except Refused as refusal:
        return failed(str(refusal), ExitCode.CHECK_FAILED)
    except Misnamed as error:
        return failed(str(error), ExitCode.USAGE)
    except Unread as error:
        return failed(str(error), ExitCode.UNREACHABLE)
    except OSError as error:
        if error.errno in (None, errno.EPIPE):  # no failure of the system; and who reads no more is told by run/pipes
            raise
        return failed(f"{f'{error.filename}: ' if error.filename else ''}{error.strerror}", ExitCode.FAILED)
    except KeyboardInterrupt as error:
        word, code = interrupts.told(error)
        return failed(f"{word}; {interrupted}", code)

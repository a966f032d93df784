"""What a command writes into a pipe that nobody reads any more ends it as SIGPIPE does: silently, with 141."""

import os
import sys
from collections.abc import Callable

from voucher_ledger.run.exit_codes import READER_GONE, ExitCode


def ended(command: Callable[[], int]) -> int:
    """The exit code of `command`, which may raise SystemExit, or READER_GONE where nobody read what it printed.

    SIGPIPE itself stays ignored, as Python has it: it would end a process for a server's socket that closes, too.
    """
    try:
        try:
            code = command()
        except SystemExit as stop:
            code = READER_GONE if _of_a_broken_pipe(stop) else _code_of(stop)
        _flush()
    except BrokenPipeError:
        code = READER_GONE
    if code == READER_GONE:
        _write_nowhere()
    return code


def _of_a_broken_pipe(stop: SystemExit) -> bool:
    """Whether typer or rich made this of a broken pipe: both end with 1, which is that of a check that failed."""
    cause: BaseException | None = stop
    while cause is not None and not isinstance(cause, BrokenPipeError):
        cause = cause.__context__
    return cause is not None and stop.code == 1


def _code_of(stop: SystemExit) -> int:
    return stop.code if isinstance(stop.code, int) else ExitCode.DONE


def _flush() -> None:
    """A little text waits until here. Where a disk is full, the interpreter's end tries again and tells of it."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise


def _write_nowhere() -> None:
    """What is still in the buffer would be written at the interpreter's end, and its failure told."""
    if sys.__stdout__ is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.__stdout__.fileno())
        os.close(nowhere)

"""What the program's exit says to scripts; 0 to 3 are the contract's."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    CHECK_FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    FAILED = 4
    INSTANCE_TAKEN = 5

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
    HUNG = 6


# 128 and the signal's number, as shells tell it.
INTERRUPTED = 130
READER_GONE = 141
TERMINATED = 143

# What --help says of each.
MEANINGS: dict[int, str] = {
    ExitCode.DONE: "done",
    ExitCode.CHECK_FAILED: "the check failed: audit, demo, a bad line, a record not delivered",
    ExitCode.USAGE: "usage, a wrong setting, topics, tables or rights that are not there, a migration refused",
    ExitCode.UNREACHABLE: "Kafka or Postgres cannot be reached, falls silent, refuses the login, or did not start",
    ExitCode.FAILED: "a processor stopped loudly: out of attempts, or contradicting positions; a tool's disk is full",
    ExitCode.INSTANCE_TAKEN: "another live process has this instance name, or is the ledger's monitor",
    ExitCode.HUNG: "a call in a processor hung and could not be ended; the next start recovers as from a kill",
    INTERRUPTED: "interrupted (Ctrl-C): the demo stops all that it had started, others say what they leave",
    READER_GONE: "whoever read the output went away, as `| head` does: SIGPIPE",
    TERMINATED: "terminated (SIGTERM): `replay`, `produce`, `simulate`, `status` and `dev up` say what they leave",
}

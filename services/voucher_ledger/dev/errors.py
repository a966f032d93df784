"""What can go wrong with the embedded servers, as errors that say what happened, where, and what to do."""


class EmbeddedServerError(Exception):
    """Base of this room's errors. `exit_code` follows the contract of the command line."""

    exit_code = 3


class SetupError(EmbeddedServerError):
    """Something that the machine or the caller must provide is missing: a program, a permission, a usable directory."""

    exit_code = 2


class StartError(EmbeddedServerError):
    """A server did not start, or did not answer in time. The message ends with the last lines of its log."""


class PortTakenError(StartError):
    """A server could not start because another program listens on its port."""

"""What a batch's transaction can meet and recover from by being decided again, whole or in parts."""

from voucher_ledger.core.records import Command


class Contended(Exception):
    """Rows changed between the load and the write (or a lease was taken away): roll back, load and decide again."""


class Straddles(Exception):
    """Some of a batch come before a moment at which the rules change, others after it: decide the part that begins with
    `command` by itself, after what is before it.
    """

    def __init__(self, command: Command) -> None:
        super().__init__(f"the rules change before {command.partition}/{command.offset}")
        self.command = command

"""What the runtime asks of a room: the same five steps for claims, orders, payments and campaigns."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import psycopg

from voucher_ledger.core.records import Command, Event

State = TypeVar("State")


class Room(Protocol[State]):
    """A room decides the commands of one topic; the runtime calls it in the order prepare, load, (decide, evolve)
    for each command, write: all but `prepare` inside the batch's transaction.

    `load`, `decide` and `write` may raise ledger.errors.Contended: the batch is then rolled back and decided again
    from `prepare` on, with `lock` so that the second try can't lose the race (`prepare` too runs inside the
    transaction then). `prepare` may raise ledger.errors.Straddles, naming any command but the first: what
    is before it and the rest are then decided one after the other.
    """

    name: str
    command_topic: str
    event_topic: str
    key_field: str

    def prepare(self, connection: psycopg.Connection, commands: Sequence[Command], *, lock: bool) -> State:
        """The batch's working set, with what short transactions of their own must do first.

        With `lock`, all is part of the batch's transaction: rows are then locked in the order vouchers, reservations,
        payments, counts of limits, accounts, so a room that draws on accounts here locks the others before.
        """

    def load(self, connection: psycopg.Connection, state: State, commands: Sequence[Command], *, lock: bool) -> None:
        """Fill the working set with the rows that the batch touches, set-based."""

    def decide(self, state: State, command: Command) -> Event:
        """The outcome of one command; changes nothing."""

    def evolve(self, state: State, command: Command, event: Event) -> None:
        """Apply an outcome to the working set."""

    def write(self, connection: psycopg.Connection, state: State) -> None:
        """Write what changed: rows in sorted order, accounts last."""

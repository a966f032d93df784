"""One side of the comparison: the rooms' own deciders on a sandbox, and the sweeper's commands made anew."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
import psycopg

from voucher_ledger.core.clock import milliseconds
from voucher_ledger.core.records import Command
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.replay.what_if.cutting import BATCH_RECORDS_MAX, ROOM_NAMES, Window
from voucher_ledger.replay.what_if.own_record import OwnRecord
from voucher_ledger.replay.what_if.played import ClaimPlaces
from voucher_ledger.replay.what_if.prices import Prices
from voucher_ledger.replay.what_if.rules import Changes, amended
from voucher_ledger.replay.what_if.sandbox import HOWEVER_LONG_IDLE, is_sandbox
from voucher_ledger.replay.what_if.stand_ins import StandIns
from voucher_ledger.replay.what_if.tally import Tally
from voucher_ledger.replay.what_if.time_driven import SentRecord, TimeDriven
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.decider import Decider
from voucher_ledger.runtime.errors import Inconsistent
from voucher_ledger.runtime.incoming import incoming
from voucher_ledger.runtime.outbox import DeadLetter, Outbox, Share
from voucher_ledger.runtime.positions import Positions
from voucher_ledger.runtime.room import Room
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.windows import Windows

# Commands made anew lie past every offset that a topic may have, so that their vouchers' names are nobody else's.
MADE_ANEW_FROM: Final = 1 << 48
_INSTANCE: Final = "what-if"

# As if all were decided that ever lay in a topic, so that the audit finds each cause below its position.
_ALL_DECIDED = "UPDATE books.position SET next_offset = %s"


class _Unpublished(Outbox):
    """A sandbox publishes nothing, so it keeps nothing to publish."""

    def insert(self, connection: psycopg.Connection, shares: object) -> None:
        """Keep nothing."""

    def prune(self, connection: psycopg.Connection, published: dict[int, int]) -> None:
        """There is nothing to delete."""


class Side:
    """Decides windows on the sandbox at `dsn`. `letters` counts what could not be decided there, by error."""

    def __init__(
        self, settings: Settings, dsn: str, rooms: Mapping[str, Room[Any]], partitions: Mapping[str, int],
        claim_places: ClaimPlaces, changes: Changes, only_campaign: str | None,
    ) -> None:  # fmt: skip
        """Connect. Raises Unreachable, NotSetUp; ValueError where `dsn` is no sandbox's."""
        if not is_sandbox(dsn):
            raise ValueError("a what-if writes to a sandbox of its own only")
        self._changes = changes
        self._rooms = rooms
        self._decoders = {name: CommandDecoder(room.command_topic) for name, room in rooms.items()}
        self.connection = postgres.connect(dsn, application=_INSTANCE, batch=True)
        self.connection.execute("SET synchronous_commit = off")  # lost by a power cut, a sandbox is made anew
        self.connection.execute(HOWEVER_LONG_IDLE)
        self._deciders = {
            name: _decider(self.connection, room, partitions[name], settings) for name, room in rooms.items()
        }
        self._made_anew: Counter[tuple[str, int]] = Counter()
        self._time_driven = TimeDriven(settings.model_copy(update={"postgres": dsn}), self.connection, self._decide_own)
        self.stand_ins = StandIns(self.connection, claim_places)
        self.prices: Prices | None = None
        self.tally = Tally(self.connection, "told", only_campaign)
        self.letters: Counter[str] = Counter()

    def close(self) -> None:
        """Hang up."""
        self._time_driven.close()
        self.connection.close()

    def pass_until(self, time_ms: int) -> None:
        """Let the time pass: what came due meanwhile expires, and whose turn has come is admitted."""
        self._time_driven.pass_until(time_ms)

    def commands_of(self, window: Window, room: str) -> list[Command]:
        """A room's part of the window as it would have been sent under this side's rules."""
        commands = window.batches.get(room, [])
        if not commands:
            return []
        if room == "campaigns":
            return [amended(command, self._changes) for command in commands]
        if room == "orders":
            return self.stand_ins.renamed(commands)
        if room == "payments" and self.prices is not None:
            return self.prices.repriced(commands)
        return commands

    def decide(self, room: str, commands: Sequence[Command]) -> None:
        """Decide what `commands_of` gave of a room."""
        self._decide(room, commands)
        self._time_driven.decided()

    def finish(self, until_ms: int) -> None:
        """Let the time pass up to the end of the play, and leave the sandbox as an audit expects a ledger."""
        self.pass_until(until_ms)
        self.connection.execute(_ALL_DECIDED, (2 * MADE_ANEW_FROM,))

    def _decide(self, room: str, commands: Sequence[Command]) -> None:
        for start in range(0, len(commands), BATCH_RECORDS_MAX):
            shares = self._deciders[room].decide(commands[start : start + BATCH_RECORDS_MAX], {})
            self._count(shares)
        if room == "campaigns" and commands:
            self._time_driven.rules_changed()

    def _decide_own(self, room: str, records: Sequence[SentRecord]) -> None:
        """Decide records (partition, key, value, time in ms) that the sweeper would have sent."""
        commands = []
        for partition, key, value, time_ms in records:
            at = (partition, MADE_ANEW_FROM + self._made_anew[room, partition])
            self._made_anew[room, partition] += 1
            command = incoming(OwnRecord(at, key, value, time_ms), *at, self._decoders[room])
            if isinstance(command, DeadLetter):
                raise Inconsistent(f"the sweeper's own command can't be decided: {command.error}: {value!r}")
            commands.append(command)
        self._decide(room, commands)

    def _count(self, shares: Sequence[Share]) -> None:
        for share in shares:
            for encoded in share.events:
                event = orjson.loads(encoded)
                self.tally.add(event["type"], milliseconds(event["time"]), event["data"])
            for letter in share.dead_letters:
                self.letters[letter.error] += 1


def _decider(connection: psycopg.Connection, room: Room[Any], partitions: int, settings: Settings) -> Decider[Any]:
    positions = Positions(room.command_topic, "what-if", _INSTANCE)
    outbox = _Unpublished(room.command_topic, room.key_field)
    decider = Decider(room, connection, positions, outbox, settings.decide_attempts_max, Windows())
    decider.positions = {number: positions.raise_epoch(connection, number, 0) for number in range(partitions)}
    return decider


def decide_on_all(sides: Sequence[Side], window: Window) -> None:
    """Decide one window on every side, room by room. All sides' commands are made before one of them decides: what
    users pay under the changed rules is told from where both stand before it.
    """
    for side in sides:
        side.pass_until(window.at_ms)
    for room in ROOM_NAMES:
        made = [side.commands_of(window, room) for side in sides]
        for side, commands in zip(sides, made, strict=True):
            if commands:
                side.decide(room, commands)

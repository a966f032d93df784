"""A processor: one room under one instance name, session after session, until it is told to stop."""

import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from structlog.typing import FilteringBoundLogger

from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.metrics.observer import Observer
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.errors import NotSetUp, SessionLost, Unreachable
from voucher_ledger.runtime.hangs import TurnWatch
from voucher_ledger.runtime.looks import Looks
from voucher_ledger.runtime.room import Room
from voucher_ledger.runtime.session import Session
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.windows import Windows

INSTANCES_MAX = 256
# Longer than Postgres keeps a frozen predecessor's transaction.
NAME_SECONDS_MAX = 20.0
NAME_RETRY_SECONDS = 0.1
BACKOFF_SECONDS = 0.2
GARBAGE_OBJECTS_MAX = 100_000
BACKOFF_SECONDS_MAX = 5.0
_NO_WINDOWS = Windows()
_NO_OBSERVER = Observer()

log = structlog.get_logger()


class InstanceTaken(Exception):
    """Another live process has this instance name."""


def instance_lock(name: str) -> str:
    """The session lock that the process named `name` holds."""
    return f"voucher-ledger-instance/{name}"


class Instance:
    """A name that one live process holds, by a session lock in Postgres: it is free again when the process is dead."""

    def __init__(self, settings: Settings, room: str, wanted: str | None) -> None:
        """Take `wanted` (waiting until a predecessor's connection is seen dead), or the first free of `<room>-0`,
        `<room>-1` and so on.

        Raises InstanceTaken, Unreachable.
        """
        self._connection = postgres.connect(settings.postgres, application=f"{room}-instance")
        names = [wanted] if wanted is not None else [f"{room}-{number}" for number in range(INSTANCES_MAX)]
        deadline = time.monotonic() + (0 if wanted is None else NAME_SECONDS_MAX)
        told = False
        while True:
            for name in names:
                if postgres.try_lock(self._connection, instance_lock(name)):
                    self.name = name
                    return
            if time.monotonic() >= deadline:
                break
            if not told:  # at once: a silent wait of so long looks like a start that hangs
                log.warning(
                    "another process has this instance name, waiting until it ends",
                    instance=wanted,
                    seconds_max=NAME_SECONDS_MAX,
                )
                told = True
            time.sleep(NAME_RETRY_SECONDS)
        self._connection.close()
        raise InstanceTaken(f"another process runs as {names[0]}: choose another --instance, or leave it out")

    def close(self) -> None:
        """Free the name."""
        self._connection.close()

    def hold(self) -> None:
        """Look whether the name is still held. Raises psycopg.Error where its connection is gone."""
        self._connection.execute("SELECT 1")

    def renewed(self, settings: Settings, room: str) -> "Instance":
        """This instance where it still holds its name, else one that took the same name again.

        Raises InstanceTaken where another process took it meanwhile, Unreachable.
        """
        try:
            self.hold()
        except psycopg.Error:
            self._connection.close()
            return Instance(settings, room, self.name)
        return self


def run(
    settings: Settings,
    room: Room[Any],
    stopping: threading.Event,
    *,
    instance: str | None = None,
    windows: Windows = _NO_WINDOWS,
    observer: Observer = _NO_OBSERVER,
) -> None:
    """Run `room` until `stopping` is set.

    A lost session is followed by another, up to `attempts_max` in a row that were not sound.
    Raises Unreachable, InstanceTaken, Inconsistent, psycopg.ProgrammingError (the database lacks a table, a column or a
    right), SessionLost (or Fenced) after the last attempt, and NotSetUp where the first session misses something.
    """
    # A batch's objects hold no cycles and go by their counts: looking for cycles among them cost up to a tenth of the
    # time. What is loaded by now stays, so it is never looked through again.
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS_MAX, 20, 20)
    decoder = CommandDecoder(room.command_topic)
    held = Instance(settings, room.name, instance)
    # A renewed instance has the same name.
    who = log.bind(room=room.name, instance=held.name)
    who.info("started")
    attempt = 0
    with TurnWatch() as watch:
        # A first start that can't reach anything fails.
        session = Session(settings, room, held.name, decoder, windows, observer)
        try:
            while True:
                looks = Looks(settings, session.topic, held.hold)
                try:
                    session.run(stopping, _both(watch.turned, looks.turned))
                    return
                except SessionLost as error:
                    observer.session_lost(error)
                    attempt = 0 if session.sound else attempt
                    failure = error
                finally:
                    session.close()
                attempt = again(who, failure, attempt, settings, stopping)
                while not stopping.is_set():
                    watch.turned()  # an attempt has its bounds, and all of them together may take longer than a turn
                    observer.turned()
                    try:
                        held = held.renewed(settings, room.name)
                        session = Session(settings, room, held.name, decoder, windows, observer)
                        break
                    except NotSetUp as error:
                        attempt = again(who, lost_setup(error), attempt, settings, stopping)
                    except (Unreachable, SessionLost) as error:
                        attempt = again(who, error, attempt, settings, stopping)
                else:
                    return
        finally:
            held.close()
            who.info("stopped")


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def turned() -> None:
        first()
        second()

    return turned


def lost_setup(error: NotSetUp) -> SessionLost:
    """What NotSetUp means where a session of this process had found all: a broker that knows too little after a
    failover, or topics being made anew. It may pass, and its exit code must not be the one that ends all rooms.
    """
    lost = SessionLost(f"was there and is not: {error}")
    lost.__cause__ = error
    return lost


def again(
    who: FilteringBoundLogger, error: Exception, attempt: int, settings: Settings, stopping: threading.Event
) -> int:
    """Wait before the next session, longer each time; the attempts used. `who` is the log of who lost it.

    Raises `error` after the last.
    """
    if attempt + 1 >= settings.attempts_max:
        raise error
    who.warning("session lost, starting another", attempt=attempt + 1, cause=str(error))
    stopping.wait(min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS * 2**attempt))
    return attempt + 1

"""One monitor a ledger, held by a session lock in Postgres.

Two would share the partitions of `ledger.demand`: each would show a part of the campaigns as if it were all, and what
one tells on `ledger.alerts` the other would tell again.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg
import structlog

from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.processor import InstanceTaken
from voucher_ledger.runtime.settings import Settings

LOCK_NAME = "voucher-ledger-monitor"
# Longer than Postgres takes to see that a predecessor's machine is gone (_KEEPALIVES), and a clean stop.
TURN_SECONDS_MAX = 20.0
RETRY_SECONDS = 0.2
LOOK_SECONDS = 5.0

# Postgres' own default lets a machine that lost its power keep the lock for two hours.
_KEEPALIVES = """
SELECT set_config('tcp_keepalives_idle', '5', false), set_config('tcp_keepalives_interval', '2', false),
       set_config('tcp_keepalives_count', '3', false)"""

log = structlog.get_logger()


class OneMonitor:
    """The turn of the one monitor, as long as this process and its connection live."""

    def __init__(
        self, settings: Settings, *, seconds_max: float = TURN_SECONDS_MAX, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Take the turn, waiting for a predecessor that is just ending. Raises InstanceTaken, Unreachable."""
        self._settings = settings
        self._lost_at: float | None = None
        self._connection = self._connected()
        deadline, told = time.monotonic() + seconds_max, False
        while not self._take():
            if time.monotonic() >= deadline:
                self.close()
                raise _taken()
            if not told:  # at once: a silent wait of so long looks like a start that hangs
                log.warning("another monitor runs on this ledger, waiting until it ends", seconds_max=seconds_max)
                told = True
            sleep(RETRY_SECONDS)

    async def keep(self) -> None:
        """Look each LOOK_SECONDS whether it is still ours, and take it again where only the connection was lost; until
        cancelled. Raises InstanceTaken where another monitor took it meanwhile.
        """
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Once. While Postgres is away nobody can take the turn, so nothing is lost. Where only the connection was, the
        server may hold the turn for its dead end for a while: that long it is asked for again. Raises InstanceTaken.
        """
        try:
            self._connection.execute("SELECT 1")
            if self._lost_at is None:
                return
        except psycopg.Error:
            self.close()
            self._lost_at = time.monotonic() if self._lost_at is None else self._lost_at
        with suppress(Unreachable, psycopg.Error):
            if self._connection.closed:
                self._connection = self._connected()
            if self._take():
                self._lost_at = None
                log.info("the monitor's turn was taken again: its connection was lost")
            elif time.monotonic() - self._lost_at > TURN_SECONDS_MAX:
                raise _taken()

    def close(self) -> None:
        """Give the turn up."""
        self._connection.close()

    def _connected(self) -> psycopg.Connection:
        made = postgres.connect(self._settings.postgres, application="monitor-turn")
        made.execute(_KEEPALIVES)
        return made

    def _take(self) -> bool:
        return postgres.try_lock(self._connection, LOCK_NAME)


def _taken() -> InstanceTaken:
    return InstanceTaken(
        "another monitor runs on this ledger, and two would each show a part and tell alerts twice: use its page, or "
        "stop it before this one is started; `voucher-ledger run all --no-monitor` runs the rooms without one"
    )

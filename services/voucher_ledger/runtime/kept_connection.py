"""A connection to Postgres that is kept between looks, and made anew after it was lost or dropped."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import psycopg

from voucher_ledger.runtime import postgres


class KeptConnection:
    """Of one thread at a time; whatever belongs to the session, such as a lock, is gone with the connection."""

    def __init__(
        self,
        dsn: str,
        *,
        application: str,
        role: str | None = None,
        seconds_max: int | None = None,
        set_up: Callable[[psycopg.Connection], object] | None = None,
    ) -> None:
        """As `postgres.connect`, which is called when it is first needed; `set_up` prepares each new session."""
        self._connect = partial(postgres.connect, dsn, application=application, role=role, seconds_max=seconds_max)
        self._set_up = set_up
        self._connection: psycopg.Connection | None = None

    def get(self) -> psycopg.Connection:
        """The connection, a new one where there is none that is open. Raises Unreachable, NotSetUp, psycopg.Error."""
        if self._connection is None or self._connection.closed:
            made = self._connect()
            if self._set_up is not None:
                self._set_up(made)
            self._connection = made
        return self._connection

    def drop(self) -> None:
        """Close it. That a server does not answer just then does not matter: the next one is new."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

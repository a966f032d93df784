"""What the sweeper reads of the books: due rows, by the partial indexes voucher_due and reservation_due, and lines."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import psycopg

from voucher_ledger.ledger import campaigns
from voucher_ledger.ledger.model import Campaign
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.errors import SessionLost, Unreachable, without_tables
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.sweeper.plan import DueHold, DueVoucher
from voucher_ledger.sweeper.turns import Turn, Waiting, WaitingLine

_ROLE = "voucher_ledger_writer"
LOCK_NAME = "voucher-ledger-sweeper"
# The lock goes with the session: a sweeper that is frozen must not keep the standby from its turn. Longer than a
# delivery may take.
IDLE_SECONDS_MAX = 60

_DUE_VOUCHERS = """
SELECT voucher_id, campaign_id, user_id FROM books.voucher
WHERE NOT swept AND state = 'granted' AND expires_at_ms <= %s ORDER BY expires_at_ms LIMIT %s"""

_DUE_HOLDS = """
SELECT order_id, user_id FROM books.reservation
WHERE NOT swept AND state = 'held' AND expires_at_ms <= %s ORDER BY expires_at_ms LIMIT %s"""

# Due rows that are closed leave the index of due rows. SKIP LOCKED: a room that has one in hand goes first. An array of
# keys, not `IN`: a join that was planned while the ledger was empty reads the whole table at every look.
_SWEEP_VOUCHERS = """
UPDATE books.voucher SET swept = true WHERE voucher_id = ANY (ARRAY (
    SELECT voucher_id FROM books.voucher
    WHERE NOT swept AND state IN ('spent', 'expired') AND expires_at_ms <= %s
    ORDER BY expires_at_ms LIMIT %s FOR UPDATE SKIP LOCKED))"""

_SWEEP_HOLDS = """
UPDATE books.reservation SET swept = true WHERE order_id = ANY (ARRAY (
    SELECT order_id FROM books.reservation
    WHERE NOT swept AND state <> 'held' AND expires_at_ms <= %s
    ORDER BY expires_at_ms LIMIT %s FOR UPDATE SKIP LOCKED))"""

# One statement, so one snapshot: what is underway is told from where lines, supply and positions stand together.
_LINES = """
WITH line AS (
    SELECT campaign_id, partition, head, next_ticket FROM books.waiting_line WHERE head < next_ticket
), supply AS (
    SELECT campaign_id, sum(vouchers)::bigint AS vouchers, sum(amount_minor)::bigint AS amount_minor FROM books.account
    WHERE role IN ('pool', 'lease') AND campaign_id IN (SELECT campaign_id FROM line) GROUP BY campaign_id
)
SELECT campaign_id, partition, head, next_ticket, p.next_offset, vouchers, amount_minor
FROM line JOIN supply USING (campaign_id)
JOIN books.position p USING (partition) WHERE p.topic = 'claim.commands' ORDER BY campaign_id, partition"""

_PLACES = """
SELECT ticket, user_id, command_id FROM books.waiting_place
WHERE campaign_id = %s AND partition = %s AND ticket >= %s AND ticket < %s ORDER BY ticket"""

_RECORD_TIME = "SELECT coalesce(max(record_time_ms), 0) FROM books.position"


class DueStore:
    """One connection: the sweeper's lock and its queries. Each raises SessionLost when connection or database fail."""

    def __init__(self, settings: Settings, *, idle_seconds_max: int = IDLE_SECONDS_MAX) -> None:
        """Connect; Postgres hangs up after `idle_seconds_max` without a query (0: never).

        Raises Unreachable where Postgres does not answer, NotSetUp where it has no ledger.
        """
        self._connection = postgres.connect(settings.postgres, application="sweeper", role=_ROLE, batch=True)
        try:
            self._connection.execute(f"SET idle_session_timeout = '{idle_seconds_max}s'".encode())
            self.record_time_ms()
        except psycopg.ProgrammingError as error:
            self._connection.close()
            raise without_tables(error) from error
        except (psycopg.Error, SessionLost) as error:
            self._connection.close()
            raise Unreachable(f"Postgres does not answer: {str(error).strip()}") from error

    def take_turn(self) -> bool:
        """Become the one sweeper that acts; False where another is."""
        with _lost_when_broken():
            return postgres.try_lock(self._connection, LOCK_NAME)

    def due_vouchers(self, now_ms: int, rows_max: int) -> list[DueVoucher]:
        """Granted vouchers whose expiry (milliseconds since 1970) has come, the longest due first."""
        with _lost_when_broken():
            rows = self._connection.execute(_DUE_VOUCHERS, (now_ms, rows_max)).fetchall()
        return [DueVoucher(*row) for row in rows]

    def due_holds(self, now_ms: int, rows_max: int) -> list[DueHold]:
        """Held reservations whose expiry has come, the longest due first."""
        with _lost_when_broken():
            rows = self._connection.execute(_DUE_HOLDS, (now_ms, rows_max)).fetchall()
        return [DueHold(*row) for row in rows]

    def mark_swept(self, now_ms: int, rows_max: int) -> None:
        """Take vouchers and holds that are due and closed out of the index of due rows, at most `rows_max` of each."""
        with _lost_when_broken():
            self._connection.execute(_SWEEP_VOUCHERS, (now_ms, rows_max))
            self._connection.execute(_SWEEP_HOLDS, (now_ms, rows_max))

    def waiting_lines(self) -> list[WaitingLine]:
        """The lines in which somebody waits, of all campaigns."""
        with _lost_when_broken():
            return [WaitingLine(*row) for row in self._connection.execute(_LINES).fetchall()]

    def campaigns(self, campaign_ids: Collection[str]) -> dict[str, Campaign]:
        """The rules of these campaigns, by id."""
        with _lost_when_broken():
            return campaigns.load(self._connection, campaign_ids)

    def places(self, turn: Turn) -> list[Waiting]:
        """Who waits with the tickets of `turn`, in their order."""
        line = turn.line
        tickets = (line.campaign_id, line.partition, turn.ticket, turn.ticket + turn.places)
        with _lost_when_broken():
            return [Waiting(*row) for row in self._connection.execute(_PLACES, tickets).fetchall()]

    def record_time_ms(self) -> int:
        """The latest record time that any room has decided, 0 before the first."""
        with _lost_when_broken():
            row = self._connection.execute(_RECORD_TIME).fetchone()
        return row[0] if row else 0

    def close(self) -> None:
        """Give up the connection, and the turn with it."""
        self._connection.close()


@contextmanager
def _lost_when_broken() -> Iterator[None]:
    try:
        yield
    except postgres.BROKEN as error:
        raise SessionLost(f"Postgres: {str(error).strip() or type(error).__name__}") from error

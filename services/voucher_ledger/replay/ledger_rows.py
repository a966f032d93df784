"""What the ledger holds, read in one snapshot: positions, the rows of users, campaigns and balances."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from voucher_ledger.core.records import Place
from voucher_ledger.replay.rows import ComparedTable
from voucher_ledger.runtime.postgres import READ_LOCK_SECONDS_MAX, SNAPSHOT, asking_postgres

READ_MINUTES_MAX = 30

_BOUNDS = f"""
SET LOCAL statement_timeout = '{READ_MINUTES_MAX}min'; SET LOCAL lock_timeout = '{READ_LOCK_SECONDS_MAX}s';
SET LOCAL idle_in_transaction_session_timeout = '5min'"""
_POSITIONS = "SELECT topic, partition, next_offset, decided, dead_lettered, topic_id FROM books.position"
_CAMPAIGNS = """
SELECT campaign_id, command_id, state::text, quota, budget_minor, currency, overspend FROM books.campaign
WHERE %(campaign_id)s::text IS NULL OR campaign_id = %(campaign_id)s"""
_BALANCES = """
SELECT campaign_id, role::text, sum(vouchers)::bigint, sum(amount_minor)::bigint FROM books.account
WHERE %(campaign_id)s::text IS NULL OR campaign_id = %(campaign_id)s GROUP BY campaign_id, role"""
_CATEGORIES = """
SELECT campaign_id, category, committed_minor FROM books.category_budget
WHERE %(campaign_id)s::text IS NULL OR campaign_id = %(campaign_id)s"""
_LINES = """
SELECT campaign_id, partition, head, next_ticket, admitted FROM books.waiting_line
WHERE %(campaign_id)s::text IS NULL OR campaign_id = %(campaign_id)s"""
_WAITING = """
SELECT 1 FROM books.outbox WHERE topic = %s AND partition = %s AND next_offset > %s AND first_offset < %s LIMIT 1"""

# Payments and refunds name their campaign through the order.
_OF_CAMPAIGN = {
    "voucher": "t.campaign_id = {}",
    "waiting_place": "t.campaign_id = {}",
    "reservation": "t.campaign_id = {}",
    "payment": "EXISTS (SELECT FROM books.reservation r WHERE r.order_id = t.order_id AND r.campaign_id = {})",
    "refund": "EXISTS (SELECT FROM books.reservation r WHERE r.order_id = t.order_id AND r.campaign_id = {})",
}


@dataclass(frozen=True, slots=True)
class LedgerPosition:
    """A row of books.position: what was decided below `next_offset`, `decided` by events and the rest dead letters."""

    next_offset: int
    decided: int
    dead_lettered: int
    topic_id: str


@dataclass(frozen=True, slots=True)
class LedgerCampaign:
    """A row of books.campaign, as far as events tell of it."""

    command_id: str
    state: str
    quota: int
    budget_minor: int
    currency: str
    overspend: str


@dataclass(slots=True)
class LedgerFigures:
    """The few: campaigns by id, (vouchers, amount_minor) by campaign and role, committed by campaign and category,
    (head, next_ticket, admitted) of waiting lines by campaign and partition.
    """

    campaigns: dict[str, LedgerCampaign] = field(default_factory=dict)
    balances: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    committed_minor: dict[tuple[str, str], int] = field(default_factory=dict)
    lines: dict[tuple[str, int], tuple[int, int, int]] = field(default_factory=dict)


class LedgerSnapshot:
    """One REPEATABLE READ snapshot: all that it reads is as of one moment, and nothing is locked."""

    def __init__(self, connection: psycopg.Connection, campaign_id: str | None = None) -> None:
        self._connection = connection
        self._campaign_id = campaign_id

    def positions(self) -> dict[Place, LedgerPosition]:
        """All positions, by command topic and partition."""
        rows = self._connection.execute(_POSITIONS)
        return {(topic, partition): LedgerPosition(*row) for topic, partition, *row in rows}

    def lines(self, table: ComparedTable) -> Iterator[bytes]:
        """The rows of a table, as `ComparedTable.lines` writes those of a fold."""
        columns = sql.SQL(", ").join(
            sql.SQL(table.expressions[column]) if column in table.expressions else sql.Identifier("t", column)
            for column in table.columns
        )
        query = sql.SQL("SELECT {} FROM books.{} t").format(columns, sql.Identifier(table.name))
        if self._campaign_id is not None:
            of_campaign = sql.SQL(_OF_CAMPAIGN[table.name]).format(sql.Literal(self._campaign_id))
            query = query + sql.SQL(" WHERE ") + of_campaign
        statement = sql.SQL("COPY ({}) TO STDOUT (NULL '')").format(query)
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            rest = b""
            for block in copy:
                *lines, rest = (rest + bytes(block)).split(b"\n")
                yield from lines

    def figures(self) -> LedgerFigures:
        """Campaigns, balances and categories."""
        of = {"campaign_id": self._campaign_id}
        return LedgerFigures(
            {row[0]: LedgerCampaign(*row[1:]) for row in self._connection.execute(_CAMPAIGNS, of)},
            {(row[0], row[1]): (row[2], row[3]) for row in self._connection.execute(_BALANCES, of)},
            {(row[0], row[1]): row[2] for row in self._connection.execute(_CATEGORIES, of)},
            {(row[0], row[1]): (row[2], row[3], row[4]) for row in self._connection.execute(_LINES, of)},
        )


@contextmanager
def snapshot(connection: psycopg.Connection, campaign_id: str | None = None) -> Iterator[LedgerSnapshot]:
    """A snapshot that lasts as long as the `with`; of one campaign's rows where one is given (all positions still).

    Raises NotSetUp where the database holds no ledger or the login may not read it, Unreachable where it does not
    answer any more.
    """
    with asking_postgres(), connection.transaction():
        connection.execute(SNAPSHOT)
        connection.execute(_BOUNDS)
        yield LedgerSnapshot(connection, campaign_id)


def next_offsets(connection: psycopg.Connection) -> dict[Place, int]:
    """Below which offset each partition of commands is decided now."""
    return {(topic, partition): next_offset for topic, partition, next_offset, *_ in connection.execute(_POSITIONS)}


def waits_in_outbox(connection: psycopg.Connection, place: Place, low: int, high: int) -> bool:
    """Whether the outbox holds, now, some of the events of the commands from `low` up to `high`."""
    return connection.execute(_WAITING, (*place, low, high)).fetchone() is not None

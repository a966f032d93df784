"""The ledger's own position in each partition: what has been decided, and by which epoch."""

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg

from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.errors import Inconsistent, TakenOver, Unreachable, made_anew, without_tables

WRITER_ROLE = "voucher_ledger_writer"

# The tables that every batch of every room is written to.
_LOOK = "SELECT FROM books.position, books.outbox, books.seal LIMIT 0"

_READ = "SELECT partition, next_offset, topic_id FROM books.position WHERE topic = %s AND partition = ANY(%s)"

_RAISE = """
INSERT INTO books.position AS p (topic, partition, next_offset, epoch, topic_id, instance)
VALUES (%s, %s, %s, 1, %s, %s)
ON CONFLICT (topic, partition) DO UPDATE SET epoch = p.epoch + 1, instance = EXCLUDED.instance
RETURNING next_offset, epoch"""

_ADVANCE = """
UPDATE books.position p
SET next_offset = m.next_offset, record_time_ms = greatest(p.record_time_ms, m.record_time_ms),
    decided = p.decided + m.records
FROM unnest(%s::int[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
  AS m (partition, epoch, expected, next_offset, record_time_ms, records)
WHERE p.topic = %s AND p.partition = m.partition AND p.epoch = m.epoch AND p.next_offset = m.expected"""

_COUNT_DEAD = """
UPDATE books.position SET decided = decided - %s, dead_lettered = dead_lettered + %s
WHERE topic = %s AND partition = %s"""


@dataclass(slots=True)
class Position:
    """Where a partition stands: `next_offset` is the first that is not decided, `epoch` the fence."""

    next_offset: int
    epoch: int


@dataclass(slots=True)
class Advance:
    """One partition's step in a batch: from its position to `next_offset`."""

    partition: int
    next_offset: int
    record_time_ms: int
    records: int


def connect(dsn: str, *, application: str) -> psycopg.Connection:
    """A processor's connection, to a database that has the tables of this version.

    Raises NotSetUp where it does not (roles are the server's, so another database's migration made them), Unreachable.
    """
    connection = postgres.connect(dsn, application=application, role=WRITER_ROLE, batch=True)
    try:
        connection.execute(_LOOK)
    except psycopg.Error as error:
        connection.close()
        if isinstance(error, psycopg.ProgrammingError):
            raise without_tables(error) from error
        raise Unreachable(f"Postgres: {str(error).strip()}") from error
    return connection


class Positions:
    """The positions of one command topic."""

    def __init__(self, topic: str, topic_id: str, instance: str) -> None:
        self._topic = topic
        self._topic_id = topic_id
        self._instance = instance

    def known(self, connection: psycopg.Connection, partitions: list[int]) -> dict[int, int]:
        """The next offsets of those partitions that were ever decided.

        Raises Inconsistent where the topic was deleted and made anew since.
        """
        found: dict[int, int] = {}
        for partition, next_offset, topic_id in connection.execute(_READ, (self._topic, partitions)):
            if topic_id != self._topic_id:
                raise Inconsistent(made_anew(self._topic, self._topic_id, topic_id))
            found[partition] = next_offset
        return found

    def raise_epoch(self, connection: psycopg.Connection, partition: int, start: int) -> Position:
        """Take the partition over: waits for a predecessor's open transaction, then fences it. `start` is where a
        partition begins that was never decided.
        """
        row = connection.execute(_RAISE, (self._topic, partition, start, self._topic_id, self._instance)).fetchone()
        if row is None:
            raise RuntimeError(f"no position came back for {self._topic}/{partition}")
        return Position(*row)

    def advance(self, connection: psycopg.Connection, positions: dict[int, Position], steps: Iterable[Advance]) -> None:
        """The fence: each step goes through only from the position and epoch that this process holds.

        Raises TakenOver where another process has taken a partition over.
        """
        ordered = sorted(steps, key=lambda step: step.partition)
        moved = connection.execute(
            _ADVANCE,
            (
                [step.partition for step in ordered],
                [positions[step.partition].epoch for step in ordered],
                [positions[step.partition].next_offset for step in ordered],
                [step.next_offset for step in ordered],
                [step.record_time_ms for step in ordered],
                [step.records for step in ordered],
                self._topic,
            ),
        )
        if moved.rowcount != len(ordered):
            raise TakenOver(f"another process has taken over some of {self._topic} {[s.partition for s in ordered]}")

    def count_dead_letters(self, connection: psycopg.Connection, partition: int, count: int) -> None:
        """Book `count` of the records just advanced as dead letters instead of decided."""
        connection.execute(_COUNT_DEAD, (count, count, self._topic, partition))

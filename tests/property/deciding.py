"""The processors' deciders in process, on a real Postgres, fed with records that no Kafka carried."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from voucher_ledger.campaigns.store import CampaignsRoom
from voucher_ledger.claims.store import ClaimsRoom
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.ledger.audit import audit
from voucher_ledger.orders.store import OrdersRoom
from voucher_ledger.payments.store import PaymentsRoom
from voucher_ledger.runtime import migrations
from voucher_ledger.runtime.decider import Decider, Item
from voucher_ledger.runtime.incoming import incoming
from voucher_ledger.runtime.outbox import DeadLetter, Outbox, Share
from voucher_ledger.runtime.positions import Positions
from voucher_ledger.runtime.postgres import connect
from voucher_ledger.runtime.room import Room
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.windows import Windows

PARTITIONS = 4
ATTEMPTS_MAX: int = Settings.model_fields["decide_attempts_max"].default

# Left out of a picture of the books, as they may differ with how commands fell into batches: which shard a grant went
# through, how often a row was written, and what of the quota waits in a lease instead of the pool.
_PICTURES = {
    "campaigns": "SELECT to_jsonb(t) FROM books.campaign t",
    "commands": "SELECT to_jsonb(t) FROM books.campaign_command t",
    "vouchers": "SELECT to_jsonb(t) - '{shard,version,swept}'::text[] FROM books.voucher t",
    "reservations": "SELECT to_jsonb(t) - '{version,swept}'::text[] FROM books.reservation t",
    "payments": "SELECT to_jsonb(t) - '{version}'::text[] FROM books.payment t",
    "refunds": "SELECT to_jsonb(t) FROM books.refund t",
    "lines": "SELECT to_jsonb(t) FROM books.waiting_line t",
    "places": "SELECT to_jsonb(t) FROM books.waiting_place t",
    "limit counts": "SELECT to_jsonb(t) FROM books.limit_count t",
    "category budgets": "SELECT to_jsonb(t) FROM books.category_budget t",
    "balances": """
        SELECT jsonb_build_array(campaign_id, replace(role::text, 'lease', 'pool'), sum(vouchers), sum(amount_minor))
        FROM books.account GROUP BY campaign_id, replace(role::text, 'lease', 'pool')
        HAVING sum(vouchers) <> 0 OR sum(amount_minor) <> 0""",
    "transfers": """
        SELECT to_jsonb(t) - '{debit_shard,credit_shard}'::text[] FROM books.transfer t WHERE credit_role <> 'lease'""",
}
_TABLES = (
    *("waiting_place", "waiting_line"),
    *("outbox", "seal", "position", "transfer", "refund", "payment", "reservation", "voucher", "limit_count"),
    *("category_budget", "account", "campaign_command", "campaign"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A command at its place: `room` decides it, it comes by (partition, offset) at `time_ms`."""

    room: str
    partition: int
    offset: int
    time_ms: int
    command: dict[str, Any]

    def __repr__(self) -> str:
        """One line, for stories that break something are read by people."""
        place = f"{self.room} {self.partition}/{self.offset} at {self.time_ms}"
        return f"<{place}: {self.command['type']} {self.command['id']} {self.command['data']}>"


def item_of(step: Step) -> Item:
    """The step's record, decoded as the runtime does it."""
    record = Carried(step)
    return incoming(record, record.partition(), record.offset(), DECODERS[step.room])


class Carried:
    """A step as the consumed record that it would be."""

    def __init__(self, step: Step) -> None:
        self._step = step

    def error(self) -> None:
        return None

    def partition(self) -> int:
        return self._step.partition

    def offset(self) -> int:
        return self._step.offset

    def key(self) -> bytes:
        owner: str = self._step.command["data"][ROOMS[self._step.room].key_field]
        return owner.encode()

    def value(self) -> bytes:
        return orjson.dumps(self._step.command)

    def timestamp(self) -> tuple[int, int]:
        return (TIMESTAMP_LOG_APPEND_TIME, self._step.time_ms)

    def headers(self) -> list[tuple[str, bytes | None]]:
        return []

    def set_headers(self, headers: list[tuple[str, bytes | None]]) -> None:
        raise AssertionError(f"this record's headers can be read: nobody should set {headers}")


ROOMS: dict[str, Room[Any]] = {
    room.name: room for room in (CampaignsRoom(), ClaimsRoom(PARTITIONS), OrdersRoom(), PaymentsRoom())
}
DECODERS = {name: CommandDecoder(room.command_topic) for name, room in ROOMS.items()}


class Processor:
    """One instance of a room: a connection and a decider of its own, holding some partitions."""

    def __init__(self, dsn: str, room: str) -> None:
        self.room = ROOMS[room]
        self.connection = connect(dsn, application="test", role="voucher_ledger_writer", batch=True)
        # What is lost by a power cut is of no interest here, and each commit would wait for the disk.
        self.connection.execute("SET synchronous_commit = off")
        self.letters: list[DeadLetter] = []
        self.shares: list[Share] = []

    def take_over(self, partitions: Iterable[int]) -> None:
        """Begin anew, with these partitions."""
        positions = Positions(self.room.command_topic, "topic", "test-0")
        outbox = Outbox(self.room.command_topic, self.room.key_field)
        self._decider = Decider(self.room, self.connection, positions, outbox, ATTEMPTS_MAX, Windows())
        self._decider.positions = {p: positions.raise_epoch(self.connection, p, 0) for p in partitions}
        self.letters = []
        self.shares = []

    def decide(self, steps: Sequence[Step]) -> list[bytes]:
        """Decide one batch; the events in the order of its steps. Each has exactly one, or is a dead letter."""
        items = [item_of(step) for step in steps]
        answers: dict[str, bytes] = {}
        lettered = len(self.letters)
        for share in self._decider.decide(items, {}):
            self.letters += share.dead_letters
            self.shares.append(share)
            for event in share.events:
                cause = orjson.loads(event)["id"]
                assert cause not in answers, f"{cause} is answered twice"
                answers[cause] = event
        assert len(answers) + len(self.letters) - lettered == len(steps)
        causes = [f"{self.room.command_topic}/{step.partition}/{step.offset}/0" for step in steps]
        return [answers.pop(cause) for cause in causes if cause in answers]


class Ledger:
    """The books and one processor a room; more may be added, for threads."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.connection = connect(dsn, application="test")
        self.connection.execute("SET synchronous_commit = off")
        self.processors = {name: Processor(dsn, name) for name in ROOMS}

    def beside(self, name: str) -> "Ledger":
        """A migrated ledger without a row, in another database of the same server."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}"'.encode())
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        dsn = psycopg.conninfo.make_conninfo(self.dsn, dbname=name)
        with connect(dsn, application="test") as connection:
            migrations.migrate(connection)
        return Ledger(dsn)

    def close(self) -> None:
        """Hang up."""
        for processor in self.processors.values():
            processor.connection.close()
        self.connection.close()

    def begin(self) -> "Ledger":
        """Empty books, and every partition at offset 0."""
        with self.connection.transaction():
            # Deleted and not truncated, since that is ten times quicker on a few rows; the books refuse either.
            self.connection.execute("SET LOCAL session_replication_role = replica")
            for table in _TABLES:
                self.connection.execute(f"DELETE FROM books.{table}".encode())
        for processor in self.processors.values():
            processor.take_over(range(PARTITIONS))
        return self

    def decide(self, steps: Sequence[Step]) -> list[bytes]:
        """Decide one room's batch; see Processor.decide."""
        return self.processors[steps[0].room].decide(steps)

    def play(self, batches: Iterable[Sequence[Step]]) -> list[bytes]:
        """Decide batch after batch, each of one room."""
        return [event for batch in batches for event in self.decide(batch)]

    def picture(self) -> dict[str, list[str]]:
        """What the books say, less what may differ with the batches."""
        return {
            name: sorted(orjson.dumps(row, option=orjson.OPT_SORT_KEYS).decode() for (row,) in self._rows(query))
            for name, query in _PICTURES.items()
        }

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(query.encode()).fetchall()

    def faults(self) -> list[str]:
        """What is wrong, in words: dead letters (every command here is well formed), and what the audit finds."""
        found = [
            f"dead letter {name}/{letter.partition}/{letter.offset}: {letter.error}"
            for name, processor in self.processors.items()
            for letter in processor.letters
        ]
        report = audit(self.connection)
        return found + [f"audit: {check.name}: {check.rows}" for check in report.checks if not check.passed]

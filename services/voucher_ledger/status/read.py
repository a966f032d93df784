"""Reads the state of Kafka and Postgres; changes neither."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, TypeVar

import psycopg
from confluent_kafka import Consumer

from voucher_ledger.core.messages import ROOM_BY_COMMAND_TOPIC
from voucher_ledger.core.records import Place
from voucher_ledger.produce.clients import known_topics, open_client, settled
from voucher_ledger.runtime.errors import asking_kafka
from voucher_ledger.runtime.kafka import consumer_config
from voucher_ledger.runtime.kept_connection import KeptConnection
from voucher_ledger.runtime.postgres import SNAPSHOT, asking_postgres
from voucher_ledger.runtime.processor import instance_lock
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.tails import Tails
from voucher_ledger.runtime.troubles import Troubles
from voucher_ledger.status.campaigns import read_campaigns
from voucher_ledger.status.offsets import GroupOffsets, ends_of, starts_of
from voucher_ledger.status.snapshot import Balance, CampaignStatus, PartitionStatus, Snapshot

# The ages of waiting records are worth so long a wait; what was not read by then is shown as unknown.
AGES_SECONDS_MAX = 3.0

Books = TypeVar("Books")

# Else a campaign that is opened between two statements would be there without its balances.
# A position names its last holder for ever. Whether that one lives is told by the lock on its name, which every role
# sees (a key of 64 bits in two columns); of a long name a session's application_name holds a part only.
_POSITIONS = """
SELECT topic, partition, next_offset, decided, dead_lettered, instance,
       hashtextextended(%s || instance, 0) IN (
           SELECT classid::bigint << 32 | objid::bigint FROM pg_locks
           WHERE locktype = 'advisory' AND objsubid = 1 AND granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
FROM ledger.position"""
# In the order in which money goes through the roles.
_BALANCES = """
SELECT campaign_id, role, unit, balance FROM ledger.balance
ORDER BY campaign_id, unit = 'VOUCHER' DESC, unit,
         array_position(ARRAY['funding', 'pool', 'lease', 'granted', 'held', 'spent', 'loss'], role)"""


class _Position(NamedTuple):
    next_offset: int
    decided: int
    dead_lettered: int
    instance: str
    instance_lives: bool


class Reader:
    """Takes snapshots; its clients stay connected between them. `close` it at the end.

    Where Postgres had gone away it connects anew; the clients of Kafka find their brokers again by themselves.
    """

    def __init__(self, settings: Settings, *, application: str, role: str | None = None) -> None:
        """Connects to nothing yet. `application` names it in Postgres, where it works with the rights of `role`."""
        self._kafka = settings.kafka
        self.ledger = KeptConnection(settings.postgres, application=application, role=role)
        self._troubles = Troubles()
        self._groups = GroupOffsets(settings)
        self._consumer = open_client(
            Consumer,
            consumer_config(
                settings,
                "voucher-ledger-status",
                isolation_level="read_uncommitted",
                error_cb=self._troubles,
            ),
        )
        self._tails = Tails(settings)

    def close(self) -> None:
        """Leave Kafka and Postgres."""
        self.ledger.drop()
        self._groups.close()
        self._consumer.close()
        self._tails.close()

    def snapshot(self) -> Snapshot:
        """Read everything once. Raises as `look` does."""
        partitions, (balances, campaigns, campaigns_more) = self.look(_shown)
        return Snapshot(time.time_ns() // 1_000_000, partitions, balances, campaigns, campaigns_more)

    def look(self, books: Callable[[psycopg.Connection], Books]) -> tuple[list[PartitionStatus], Books]:
        """The partitions, and what `books` reads of the ledger: as of one moment, which is that of the positions too.

        Positions are read before the ends of the topics, so that a lag may look a moment too large, never too small.

        Raises:
            Unreachable: Kafka or Postgres does not answer.
            NotSetUp: a command topic or the ledger's tables do not exist.
        """
        with asking_postgres(), (connection := self.ledger.get()).transaction():
            connection.execute(SNAPSHOT)
            rows = connection.execute(_POSITIONS, (instance_lock(""),))
            positions = {(row[0], row[1]): _Position(*row[2:]) for row in rows}
            found = books(connection)
        return self._partitions(positions), found

    def _partitions(self, positions: Mapping[Place, _Position]) -> list[PartitionStatus]:
        with asking_kafka(self._kafka):
            places = self._places()
            published = settled(partial(self._groups.read, places))
            starts = settled(partial(starts_of, self._consumer, places))
            ends = settled(partial(ends_of, self._consumer, places))
        undecided = {place: positions[place].next_offset if place in positions else starts[place] for place in places}
        waiting = {place: undecided[place] for place in places if undecided[place] < ends[place]}
        first_records_ms = self._tails.first_records_ms(waiting, ends, AGES_SECONDS_MAX)
        partitions = []
        for place in places:
            position = positions.get(place)
            is_done = place not in waiting or (place in first_records_ms and first_records_ms[place] is None)
            partitions.append(
                PartitionStatus(
                    topic=place[0],
                    partition=place[1],
                    next_offset=position.next_offset if position else None,
                    published_offset=published.get(place),
                    start_offset=starts[place],
                    end_offset=ends[place],
                    lag_seconds=0.0 if is_done else _age_seconds(first_records_ms.get(place)),
                    decided=position.decided if position else 0,
                    dead_lettered=position.dead_lettered if position else 0,
                    instance=position.instance if position else None,
                    instance_lives=position is not None and position.instance_lives,
                    undecidable_records=max(0, ends[place] - undecided[place]) if is_done else 0,
                )
            )
        return partitions

    def _places(self) -> list[Place]:
        topics = known_topics(self._consumer, self._kafka, [*ROOM_BY_COMMAND_TOPIC], self._troubles)
        return [
            (str(topic), partition) for topic in ROOM_BY_COMMAND_TOPIC for partition in sorted(topics[topic].partitions)
        ]


def _shown(connection: psycopg.Connection) -> tuple[list[Balance], list[CampaignStatus], int]:
    balances = [Balance(*row) for row in connection.execute(_BALANCES)]
    return balances, *read_campaigns(connection, balances)


def _age_seconds(first_record_ms: int | None) -> float | None:
    return None if first_record_ms is None else max(0.0, time.time() - first_record_ms / 1_000)

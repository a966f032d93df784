"""Reads where a partition stands, from Postgres, the group and the topics; changes nothing."""

from contextlib import closing
from dataclasses import dataclass
from functools import partial

import psycopg
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from voucher_ledger.core.messages import EVENT_TOPIC_BY_COMMAND_TOPIC, KEY_FIELD_BY_COMMAND_TOPIC, ROOM_BY_COMMAND_TOPIC
from voucher_ledger.produce.clients import settled
from voucher_ledger.replay.errors import Misnamed
from voucher_ledger.replay.members import group_members
from voucher_ledger.replay.reading import open_reader
from voucher_ledger.replay.seek.plan import Standing
from voucher_ledger.runtime import topics
from voucher_ledger.runtime.errors import asking_kafka
from voucher_ledger.runtime.group_offsets import committed_offsets
from voucher_ledger.runtime.kafka import REQUEST_SECONDS_MAX, group_of
from voucher_ledger.runtime.positions import Positions
from voucher_ledger.runtime.postgres import asking_postgres
from voucher_ledger.runtime.published_mark import last_answered
from voucher_ledger.runtime.publisher import DEAD_LETTER_TOPIC
from voucher_ledger.runtime.settings import Settings

# A lease is drawn for a batch before it is decided: such a cause (an index below 0) is no answer yet.
_MOVED = """
SELECT max(cause_offset) FROM books.transfer
WHERE cause_topic = %s AND cause_partition = %s AND cause_index >= 0 AND cause_offset >= %s"""

_OUTBOX = """
SELECT count(*) FILTER (WHERE next_offset > %s), coalesce(max(next_offset), 0)
FROM books.outbox WHERE topic = %s AND partition = %s"""

# A processor holds its name by a connection of this name, also while it waits for its next session.
_INSTANCES = """
SELECT 'a process connected to Postgres from ' || coalesce(host(client_addr), 'this machine')
FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s"""


@dataclass(frozen=True, slots=True)
class Target:
    """A partition of a room's command topic, and all that belongs to it."""

    room: str
    topic: str
    event_topic: str
    key_field: str
    partition: int
    topic_id: str
    dead_partitions: int

    @property
    def group(self) -> str:
        """The room's consumer group."""
        return group_of(self.room)

    @property
    def instance(self) -> str:
        """The name under which a seek joins the group: a killed one's successor takes its place at once."""
        return f"seek-{self.room}"


def find(settings: Settings, room: str, partition: int) -> Target:
    """The partition of a room's command topic. Raises Misnamed where there is none such, Unreachable, NotSetUp."""
    topic = next(str(topic) for topic, name in ROOM_BY_COMMAND_TOPIC.items() if name == room)
    events = {str(commands): str(found) for commands, found in EVENT_TOPIC_BY_COMMAND_TOPIC.items()}
    keys = {str(commands): field for commands, field in KEY_FIELD_BY_COMMAND_TOPIC.items()}
    described = topics.describe(settings, topic)
    if not 0 <= partition < described.partitions:
        raise Misnamed(f"{topic} has the partitions 0 to {described.partitions - 1}")
    dead = topics.describe(settings, DEAD_LETTER_TOPIC).partitions
    return Target(room, topic, events[topic], keys[topic], partition, described.topic_id, dead)


def read(settings: Settings, connection: psycopg.Connection, target: Target, to: int) -> Standing:
    """Where the partition stands, as far as a seek to `to` needs it.

    Raises Inconsistent where the topic was made anew since, Unreachable, NotSetUp, SessionLost.
    """
    low, high = watermarks(settings, target)
    committed = _committed(settings, target)
    with asking_postgres():
        alive = tuple(sorted({*others(settings, target), *_instances(connection, target)}))
        known = Positions(target.topic, target.topic_id, target.instance).known(connection, [target.partition])
        decided = known.get(target.partition, low)
        moved = connection.execute(_MOVED, (target.topic, target.partition, min(to, decided))).fetchone()
        outbox = connection.execute(_OUTBOX, (committed or 0, target.topic, target.partition)).fetchone()
    answered = last_answered(settings, target.topic, target.partition, target.event_topic, target.dead_partitions)
    if answered >= high:  # that command may have come since the first look
        high = watermarks(settings, target)[1]
    unpublished, outbox_end = outbox or (0, 0)
    return Standing(
        target.topic, target.partition, decided, committed, low, high, answered,
        -1 if moved is None or moved[0] is None else moved[0], unpublished, outbox_end, alive,
    )  # fmt: skip


def watermarks(settings: Settings, target: Target) -> tuple[int, int]:
    """The first offset that the partition holds, and its end. Raises Unreachable."""
    with closing(open_reader(settings)) as consumer, asking_kafka(settings.kafka):
        asked = TopicPartition(target.topic, target.partition)
        low, high = settled(partial(consumer.get_watermark_offsets, asked, REQUEST_SECONDS_MAX))
        return int(low), int(high)


def others(settings: Settings, target: Target) -> list[str]:
    """The members of the room's group beside this tool. Raises Unreachable."""
    return group_members(settings, target.room, target.instance)


def _instances(connection: psycopg.Connection, target: Target) -> list[str]:
    rows = connection.execute(_INSTANCES, (f"voucher-ledger-{target.room}-instance",))
    return [str(row[0]) for row in rows]


def _committed(settings: Settings, target: Target) -> int | None:
    """None also where it is not yet known: a killed processor's open transaction holds it back."""
    with asking_kafka(settings.kafka):
        try:
            here = (target.topic, target.partition)
            return committed_offsets(settings, target.group, stable=True, place=here).get(here)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNSTABLE_OFFSET_COMMIT:
                raise
            return None

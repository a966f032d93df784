"""Carries a seek out as a member of the room's group, by the same two transactions as a decided batch.

A skipped record is decided in its way: it becomes a dead letter. So one Postgres transaction moves the position and
puts the dead letters into the outbox, and one Kafka transaction publishes them with the group's offset. Killed between
the two, the seek is whole already: whoever takes the partition over next, this tool or a processor, publishes it.
"""

import time
from typing import Self

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

from voucher_ledger.metrics.observer import Observer
from voucher_ledger.produce.clients import open_client
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.seek.plan import Kind, Plan, Standing, behind
from voucher_ledger.replay.seek.skipped import Skipped, shares
from voucher_ledger.replay.seek.standing import Target, others, watermarks
from voucher_ledger.runtime import seals
from voucher_ledger.runtime.errors import Inconsistent, SessionLost
from voucher_ledger.runtime.kafka import consumer_config
from voucher_ledger.runtime.leave import leave_group
from voucher_ledger.runtime.outbox import Outbox, Share
from voucher_ledger.runtime.positions import Advance, Position, Positions
from voucher_ledger.runtime.published_mark import last_answered, published_mark
from voucher_ledger.runtime.publisher import Publisher
from voucher_ledger.runtime.recovery import sum_up_again
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.windows import Windows

ASSIGNED_SECONDS_MAX = 60.0
PUBLISHED_SECONDS_MAX = 60.0

_MOVE_BACK = """
UPDATE books.position SET next_offset = %s
WHERE topic = %s AND partition = %s AND epoch = %s AND next_offset = %s"""


class SeekSession:
    """One seek of one partition; as a context manager it leaves the group in the end."""

    def __init__(self, settings: Settings, connection: psycopg.Connection, target: Target, windows: Windows) -> None:
        """Nothing happens yet. `connection` has the operator's rights."""
        self._settings = settings
        self._connection = connection
        self._target = target
        self._windows = windows
        self._positions = Positions(target.topic, target.topic_id, target.instance)
        self._outbox = Outbox(target.topic, target.key_field)
        self._metadata: object = None
        self._assigned: set[int] = set()
        self._lost = False
        self._consumer = open_client(Consumer, consumer_config(settings, target.group, target.instance))
        self._publisher: Publisher | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._publisher is not None:
            self._publisher.stop()
        self._consumer.close()
        leave_group(self._settings, self._target.group, self._target.instance)

    def run(self, standing: Standing, plan: Plan, skipped: Skipped) -> None:
        """Join the group, fence, publish what waits, move the position, publish that.

        Raises Refused where a processor came, or the partition moved meanwhile; SessionLost, Fenced, Inconsistent.
        """
        target = self._target
        self._join()
        publisher = Publisher(
            self._settings, target.instance, target.topic, target.event_topic, target.dead_partitions, self._windows,
            Observer(),
        )  # fmt: skip
        publisher.start(self._metadata)
        self._publisher = publisher
        self._still_alone()
        held = self._positions.raise_epoch(self._connection, target.partition, standing.low)
        if held.next_offset != standing.decided:
            raise Refused(f"{standing.name} was decided up to {held.next_offset} meanwhile: look again, then seek")
        self._refuse_if_behind(held)
        waiting = self._waiting(held)
        for share in waiting:
            publisher.submit([share])
        self._published(publisher)
        self._outbox.prune(self._connection, {target.partition: held.next_offset})
        moved = self._move(held, plan, skipped)
        self._windows.after_commit()
        for share in moved:
            publisher.submit([share])
        self._published(publisher)
        self._outbox.prune(self._connection, {target.partition: plan.to})

    def _join(self) -> None:
        self._consumer.subscribe(
            [self._target.topic], on_assign=self._on_assign, on_revoke=self._on_gone, on_lost=self._on_gone
        )
        deadline = time.monotonic() + ASSIGNED_SECONDS_MAX
        while self._metadata is None:
            if time.monotonic() > deadline:
                raise SessionLost(f"{self._target.group} gave this tool no partition for {ASSIGNED_SECONDS_MAX:.0f} s")
            self._poll()
        self._still_alone()

    def _still_alone(self) -> None:
        """The group's generation keeps a processor that comes later from being overtaken; this one tells sooner."""
        self._poll()
        found = others(self._settings, self._target)
        if found or self._lost or self._target.partition not in self._assigned:
            raise Refused(f"a processor has joined {self._target.group} meanwhile ({', '.join(found)}): stop it first")

    def _answered(self) -> int:
        target = self._target
        return last_answered(
            self._settings, target.topic, target.partition, target.event_topic, target.dead_partitions
        )  # fmt: skip

    def _refuse_if_behind(self, held: Position) -> None:
        """Looked at again now that nobody else decides or publishes: the first look may have come before the last."""
        answered = self._answered()
        if answered < held.next_offset:
            return
        high = watermarks(self._settings, self._target)[1]
        refusal = behind(f"{self._target.topic}/{self._target.partition}", held.next_offset, answered, high)
        if refusal is not None:
            raise Refused(refusal)

    def _poll(self) -> None:
        """Serve the group's callbacks; the partition itself is paused, so that no record comes."""
        try:
            record = self._consumer.poll(0.1)
        except KafkaException as error:
            raise SessionLost(f"Kafka: {error.args[0].str()}") from error
        trouble = None if record is None else record.error()
        if trouble is not None:
            raise SessionLost(f"Kafka: {trouble.str()}")

    def _waiting(self, held: Position) -> list[Share]:
        """What is decided and not published, by the published events themselves: the group's offset may be what is
        wrong. Raises Inconsistent where the outbox does not end at the position.
        """
        target = self._target
        rows = self._outbox.after(self._connection, target.partition, -1)
        if not rows:
            return []
        expected = rows[0].first_offset
        for row in rows:
            if row.first_offset != expected:
                raise Inconsistent(f"{target.topic}/{target.partition}: the outbox has a gap at {expected}")
            expected = row.next_offset
        if expected != held.next_offset:
            raise Inconsistent(
                f"{target.topic}/{target.partition}: the outbox ends at {expected}, decided is up to {held.next_offset}"
            )
        mark = published_mark(rows, self._answered())
        waiting = [row for row in rows if row.next_offset > mark]
        for share in waiting:
            sum_up_again(target.topic, share)
        return waiting

    def _move(self, held: Position, plan: Plan, skipped: Skipped) -> list[Share]:
        """Move the position in one transaction; what is to be published then, at least the group's offset."""
        target, connection = self._target, self._connection
        partition, expected = target.partition, held.next_offset
        offset_only = [Share(partition, plan.to, plan.to)]
        if plan.kind is Kind.STAY:
            return offset_only
        with connection.transaction():
            if plan.kind is Kind.BACK:
                row = (plan.to, target.topic, partition, held.epoch, expected)
                if connection.execute(_MOVE_BACK, row).rowcount != 1:
                    raise SessionLost(f"another process has taken {target.topic}/{partition} over")
                seals.append_move(connection, target.topic, partition, expected, plan.to)
                self._windows.before_commit()
                return offset_only
            made = shares(skipped, partition, expected, plan.to)
            count = len(skipped.letters)
            self._positions.advance(
                connection, {partition: held}, [Advance(partition, plan.to, skipped.time_ms, count)]
            )  # fmt: skip
            self._positions.count_dead_letters(connection, partition, count)
            self._outbox.insert(connection, made)
            self._windows.before_commit()
        return made

    def _published(self, publisher: Publisher) -> None:
        if not publisher.drain(PUBLISHED_SECONDS_MAX):
            publisher.check()
            raise SessionLost(f"not all was published within {PUBLISHED_SECONDS_MAX:.0f} s: seek again, it goes on")
        self._poll()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Captured here, as a processor does: a member of a later generation must not publish under this one's name."""
        self._assigned = {partition.partition for partition in partitions}
        self._metadata = consumer.consumer_group_metadata()
        consumer.assign([])

    def _on_gone(self, consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._lost = True
        consumer.unassign()

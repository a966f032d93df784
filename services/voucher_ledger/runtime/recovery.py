"""What an assignment begins with: fence the predecessor, publish what it decided and did not, find where to go on."""

import psycopg
import structlog
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from voucher_ledger.core.demand import Tally, outcome_of
from voucher_ledger.runtime.errors import Inconsistent, SessionLost
from voucher_ledger.runtime.group_offsets import committed_offsets
from voucher_ledger.runtime.outbox import Outbox, Share
from voucher_ledger.runtime.positions import Position, Positions
from voucher_ledger.runtime.published_mark import beyond_end, last_answered, published_mark
from voucher_ledger.runtime.settings import Settings

# Longer than a predecessor's pending offsets can last: its transaction's timeout and the broker's clean-up.
COMMITTED_SECONDS_MAX = 45.0
WATERMARK_SECONDS_MAX = 10.0

log = structlog.get_logger()


class Recovery:
    """Takes partitions of one command topic over, for one session."""

    def __init__(
        self, settings: Settings, consumer: Consumer, connection: psycopg.Connection, positions: Positions,
        outbox: Outbox, group: str, command_topic: str, event_topic: str, dead_partitions: int,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._consumer = consumer
        self._connection = connection
        self._positions = positions
        self._outbox = outbox
        self._group = group
        self._command_topic = command_topic
        self._event_topic = event_topic
        self._dead_partitions = dead_partitions

    def take_over(self, partitions: list[int]) -> tuple[dict[int, Position], list[Share]]:
        """The positions now held, and the shares that were decided but are not published, in order.

        The producer of this session must have been initialised before (that ends its predecessor's transaction).
        Raises Inconsistent where positions, committed offsets and outbox contradict each other.
        """
        self._refuse_an_older_ledger()
        known = self._positions.known(self._connection, partitions)
        starts = self._watermarks([partition for partition in partitions if partition not in known])
        held: dict[int, Position] = {}
        for partition in partitions:
            start, _ = starts.get(partition, (0, 0))  # of a known one it says nothing
            held[partition] = self._positions.raise_epoch(self._connection, partition, start)
        # From here on nobody else decides. What was read before may be old: a predecessor that does not know yet what
        # it has lost may have decided meanwhile, its first batch or one with records that have just come.
        marks = self._watermarks(partitions)
        unpublished: list[Share] = []
        published: dict[int, int] = {}
        for partition, offset in self._committed(partitions).items():
            next_offset = held[partition].next_offset
            low, high = marks[partition]
            if not low <= next_offset <= high:
                raise Inconsistent(_outside(f"{self._command_topic}/{partition}", next_offset, low, high))
            known_offset = offset != OFFSET_INVALID
            committed = offset if known_offset else self._committed_as_published(partition, next_offset, high)
            if held[partition].epoch == 1:  # nobody ever held it
                if committed != next_offset:
                    raise Inconsistent(_unknown(f"{self._command_topic}/{partition}", committed))
                continue
            unpublished.extend(self._unpublished(partition, committed, next_offset))
            published[partition] = committed
        # Whose they were ended between publishing and this. An idle partition would keep them, and be told as one
        # whose events do not go out.
        self._outbox.prune(self._connection, published)
        return held, unpublished

    def _refuse_an_older_ledger(self) -> None:
        """Where the ledger lacks what was decided in any partition of the room (it was restored, or another database
        has its name), none is decided by it: all grant from the same pool, and whoever holds that partition may find
        out later. Offsets are read before positions: a neighbour at work decides first and commits then.
        """
        try:
            committed = committed_offsets(self._settings, self._group, stable=False)
        except KafkaException as error:
            raise SessionLost(f"committed offsets: {error.args[0].str()}") from error
        offsets = {number: offset for (topic, number), offset in committed.items() if topic == self._command_topic}
        known = self._positions.known(self._connection, list(offsets))
        lows = self._watermarks([number for number in offsets if number not in known])
        for number, offset in offsets.items():
            place = f"{self._command_topic}/{number}"
            if number not in known and offset > lows[number][0]:
                raise Inconsistent(_unknown(place, offset))
            if number in known and offset > known[number]:
                raise Inconsistent(_behind(place, offset, known[number]))

    def _unpublished(self, partition: int, committed: int, next_offset: int) -> list[Share]:
        place = f"{self._command_topic}/{partition}"
        if committed > next_offset:
            raise Inconsistent(_behind(place, committed, next_offset))
        waiting = self._outbox.after(self._connection, partition, committed)
        expected = committed
        for row in waiting:
            if row.first_offset != expected:
                raise Inconsistent(f"{place}: published up to {expected}, but the outbox goes on at {row.first_offset}")
            expected = row.next_offset
        if expected != next_offset:
            raise Inconsistent(f"{place}: the outbox ends at {expected}, decided is up to {next_offset}")
        if waiting:
            log.info("publishing again", topic=self._command_topic, partition=partition, batches=len(waiting))
        for share in waiting:
            sum_up_again(self._command_topic, share)
        return waiting

    def _committed_as_published(self, partition: int, next_offset: int, high: int) -> int:
        """The group's offset is gone (Kafka forgets it after a week without members), or never was: the published
        answers themselves tell it. Raises Inconsistent where they go beyond what the ledger has decided.
        """
        answered = last_answered(
            self._settings, self._command_topic, partition, self._event_topic, self._dead_partitions
        )
        if answered >= max(next_offset, high):
            raise Inconsistent(beyond_end(f"{self._command_topic}/{partition}", answered, high))
        if answered >= next_offset:
            raise Inconsistent(
                f"{self._command_topic}/{partition}: offset {answered} is answered, the ledger has decided up to "
                f"{next_offset}: is this another database, or one restored from a backup? Deciding would answer twice; "
                "`voucher-ledger replay rebuild` makes the ledger anew from the topics"
            )
        rows = self._outbox.after(self._connection, partition, -1)
        # Rows are pruned only once they are published, so without rows all is.
        return published_mark(rows, answered) if rows else next_offset

    def _committed(self, partitions: list[int]) -> dict[int, int]:
        wanted = [TopicPartition(self._command_topic, partition) for partition in partitions]
        try:
            found = self._consumer.committed(wanted, timeout=COMMITTED_SECONDS_MAX)
        except KafkaException as error:
            raise SessionLost(f"committed offsets: {error.args[0].str()}") from error
        for entry in found:
            if entry.error is not None:
                raise SessionLost(f"committed offset of {self._command_topic}/{entry.partition}: {entry.error.str()}")
        return {entry.partition: entry.offset for entry in found}

    def _watermarks(self, partitions: list[int]) -> dict[int, tuple[int, int]]:
        marks: dict[int, tuple[int, int]] = {}
        for partition in partitions:
            place = TopicPartition(self._command_topic, partition)
            try:
                found = self._consumer.get_watermark_offsets(place, timeout=WATERMARK_SECONDS_MAX)
            except KafkaException as error:
                raise SessionLost(f"watermarks of {self._command_topic}/{partition}: {error.args[0].str()}") from error
            if found is None:
                raise SessionLost(f"watermarks of {self._command_topic}/{partition}: no answer")
            marks[partition] = found
        return marks


def _unknown(place: str, committed: int) -> str:
    told = f"{place}: the group has committed {committed}, the ledger knows nothing of it"
    return f"{told}: is this another, or a lost, database?"


def _outside(place: str, next_offset: int, low: int, high: int) -> str:
    told = f"{place}: decided up to {next_offset}, the topic holds {low} to {high}"
    if next_offset > high:
        return f"{told}: it has lost its end, which is decided already. Restore it: nothing else may have those offsets"
    return (
        f"{told}: commands were deleted before they were decided, by the topic's retention or by somebody, and will "
        f"never be answered. `voucher-ledger replay seek --to {low}` goes on behind them"
    )


def _behind(place: str, committed: int, next_offset: int) -> str:
    return (
        f"{place}: the group has committed {committed}, the ledger has decided up to {next_offset}: somebody moved the "
        "offsets, or decided batches were lost (a database restored from a backup). The dry run of "
        f"`voucher-ledger replay seek --to {next_offset}` tells which: what it refuses as answered was lost, and only "
        "`replay rebuild` brings it back"
    )


def sum_up_again(command_topic: str, share: Share) -> None:
    """Count the rollups of a share from the outbox, which does not keep them, from its events."""
    tally = Tally(command_topic, share.partition, share.first_offset)
    for event in share.events:
        tally.add(*outcome_of(event))
    share.sum_up(tally)

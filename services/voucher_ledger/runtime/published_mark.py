"""How far a partition is published, read from the published records themselves (when the group's offset is gone)."""

import re
import time
from collections.abc import Callable

import orjson
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from voucher_ledger.runtime.errors import SessionLost
from voucher_ledger.runtime.incoming import readable_headers
from voucher_ledger.runtime.kafka import ANSWER_SECONDS_MAX, REQUEST_SECONDS_MAX, admin_config, consumer_config
from voucher_ledger.runtime.outbox import Share
from voucher_ledger.runtime.publisher import DEAD_LETTER_TOPIC
from voucher_ledger.runtime.settings import Settings

TAIL_RECORDS = 1_000
OPEN_TRANSACTION_SECONDS_MAX = 60.0
_RETRY_SECONDS = 0.2
_OFFSET = re.compile("[0-9]{1,19}")

CauseOf = Callable[[Message], int | None]


def published_mark(rows: list[Share], answered: int) -> int:
    """The first offset that is not published, a boundary of the outbox's `rows`, where `answered` is the last that is:
    a row is published whole or not at all.
    """
    mark = rows[0].first_offset
    for row in rows:
        if row.first_offset <= answered:
            mark = row.next_offset
    return mark


def beyond_end(place: str, answered: int, high: int) -> str:
    """What to say of an answer at or past the end `high` of a partition of commands: no ledger, however old, lacks it,
    as nobody can have decided a command that is not there.
    """
    return (
        f"{place}: offset {answered} is answered, but the topic ends at {high}: no command lies there, so somebody "
        "added that event or dead letter, or the topic has lost its end. Change nothing: `voucher-ledger replay "
        'verify` names the record, and "Tampering is suspected" in docs/OPERATIONS.md says how to go on'
    )


def last_answered(
    settings: Settings, command_topic: str, partition: int, event_topic: str, dead_partitions: int
) -> int:
    """The greatest offset of `command_topic`/`partition` that a published event or dead letter answers, -1 where none
    is: answers are published in the order of what they answer. Waits until no transaction is open on the output that
    was when it was called. Raises SessionLost where one stays open, or Kafka does not answer.
    """
    prefix = f"{command_topic}/{partition}/"
    return max(
        last_cause(settings, event_topic, partition, lambda record: _event_cause(record, prefix)),
        last_cause(
            settings, DEAD_LETTER_TOPIC, partition % dead_partitions,
            lambda record: _dead_letter_cause(record, command_topic, partition),
        ),
    )  # fmt: skip


def last_cause(settings: Settings, topic: str, partition: int, cause_of: CauseOf) -> int:
    """The greatest cause among the topic partition's committed records, -1 where there is none: read backwards in
    windows that double.
    """
    low, end = _settled_range(settings, topic, partition)
    window = TAIL_RECORDS
    while end > low:
        start = max(low, end - window)
        found = _greatest(settings, TopicPartition(topic, partition, start), end, cause_of)
        if found >= 0 or start == low:
            return found
        window *= 2
    return -1


def _settled_range(settings: Settings, topic: str, partition: int) -> tuple[int, int]:
    """The offsets that the partition holds: what lies below the end is decided, committed or aborted, and so is all
    that the transactions wrote that were open at the first look. Raises SessionLost where one stays open.

    The end is looked at twice, and each time waited for until the last stable offset has come to it, but not to an end
    that moves on: others write to a partition of dead letters all the time, so that one of them is open at almost any
    moment, and what they begin after the first look answers nothing that is asked for here. Past the first end no
    transaction of then is open any more; but one of them may have gone on writing behind it, where another that began
    meanwhile still hides it. So the second end, which lies behind all of that, is waited for too: whoever read up to
    the first one only would take what was published behind it for unpublished, and publish it twice.
    """
    admin = AdminClient(admin_config(settings))
    place = TopicPartition(topic, partition)
    deadline = time.monotonic() + OPEN_TRANSACTION_SECONDS_MAX

    def offset(spec: OffsetSpec, isolation: IsolationLevel) -> int:
        future = admin.list_offsets({place: spec}, isolation_level=isolation, request_timeout=REQUEST_SECONDS_MAX)
        try:
            return int(future[place].result(ANSWER_SECONDS_MAX).offset)
        except TimeoutError as error:
            raise SessionLost(f"offsets of {topic}/{partition}: no answer") from error
        except KafkaException as error:
            raise SessionLost(f"offsets of {topic}/{partition}: {error.args[0].str()}") from error

    def settled_end() -> int:
        end = offset(OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)
        while offset(OffsetSpec.latest(), IsolationLevel.READ_COMMITTED) < end:
            if time.monotonic() > deadline:
                raise SessionLost(f"a transaction stays open on {topic}/{partition}: what is published can't be told")
            time.sleep(_RETRY_SECONDS)
        return end

    settled_end()
    end = settled_end()
    return offset(OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED), end


def _greatest(settings: Settings, start: TopicPartition, end: int, cause_of: CauseOf) -> int:
    consumer = Consumer(consumer_config(settings, "voucher-ledger-published-mark", enable_partition_eof=True))
    greatest = -1
    deadline = time.monotonic() + OPEN_TRANSACTION_SECONDS_MAX
    try:
        consumer.assign([start])
        while True:
            record = consumer.poll(REQUEST_SECONDS_MAX)
            if record is None:
                if time.monotonic() > deadline:
                    raise SessionLost(f"{start.topic}/{start.partition} could not be read from {start.offset} to {end}")
                continue
            error = record.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                # What was not read may be published: to take it for unpublished would publish it twice.
                raise SessionLost(f"{start.topic}/{start.partition} from {start.offset} to {end}: {error.str()}")
            if error is not None or (record.offset() or 0) >= end:
                return greatest
            cause = cause_of(record)
            greatest = max(greatest, -1 if cause is None else cause)
    finally:
        consumer.close()


def _event_cause(record: Message, prefix: str) -> int | None:
    """None where it answers something else, or is no processor's event: rubbish that somebody wrote answers nothing."""
    try:
        event = orjson.loads(record.value() or b"{}")
    except orjson.JSONDecodeError:
        return None
    event_id = event.get("id") if isinstance(event, dict) else None
    if not isinstance(event_id, str) or not event_id.startswith(prefix):
        return None
    return _offset(event_id.removeprefix(prefix).split("/")[0])


def _dead_letter_cause(record: Message, topic: str, partition: int) -> int | None:
    headers = dict(readable_headers(record) or [])  # no processor writes any that can't be read
    if headers.get("dlq_topic") != topic.encode() or headers.get("dlq_partition") != str(partition).encode():
        return None
    return _offset(str(headers.get("dlq_offset") or b"", "ascii", "replace"))


def _offset(text: str) -> int | None:
    return int(text) if _OFFSET.fullmatch(text) else None

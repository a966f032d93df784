"""A peer for scale: the consumer that many would write first. One claim, one Postgres transaction, one event.

It does less than the ledger (no schema, no leases, no double entry but one transfer row, at least once only), and has
the same durability: every claim is committed to disk before its event is sent. Settings come from the ledger's own
environment variables; it prints RUNNING once it has its partitions and works until SIGTERM.
"""

import signal
import sys
import threading
import time

import orjson
import psycopg
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from voucher_ledger.runtime import kafka, settings

GROUP = "row-at-a-time"
COMMIT_INTERVAL_SECONDS = 0.1
POLL_SECONDS = 0.1
FLUSH_SECONDS_MAX = 10.0

_TABLES = """
CREATE SCHEMA row_at_a_time;
CREATE TABLE row_at_a_time.campaign (campaign_id text PRIMARY KEY, vouchers_left bigint CHECK (vouchers_left >= 0));
CREATE TABLE row_at_a_time.voucher (voucher_id text PRIMARY KEY, campaign_id text, user_id text, command_id text,
    UNIQUE (user_id, campaign_id));
CREATE TABLE row_at_a_time.transfer (transfer_id text PRIMARY KEY, campaign_id text, voucher_id text);
INSERT INTO row_at_a_time.campaign SELECT campaign_id, quota FROM books.campaign"""
_FIND = "SELECT voucher_id, command_id FROM row_at_a_time.voucher WHERE user_id = %s AND campaign_id = %s"
_TAKE = """
UPDATE row_at_a_time.campaign SET vouchers_left = vouchers_left - 1 WHERE campaign_id = %s AND vouchers_left > 0"""
_GRANT = "INSERT INTO row_at_a_time.voucher VALUES (%s, %s, %s, %s)"
_BOOK = "INSERT INTO row_at_a_time.transfer VALUES (%s, %s, %s)"


def decide(connection: psycopg.Connection, record: Message) -> bytes:
    """Decide one claim in a transaction of its own; its event."""
    claim = orjson.loads(record.value() or b"")
    data = claim["data"]
    cause = f"{record.topic()}/{record.partition()}/{record.offset()}/0"
    with connection.transaction():
        found = connection.execute(_FIND, (data["user_id"], data["campaign_id"])).fetchone()
        if found is not None:
            outcome = {"voucher_id": found[0]} if found[1] == claim["id"] else {"reason": "user_limit"}
        elif connection.execute(_TAKE, (data["campaign_id"],)).rowcount:
            outcome = {"voucher_id": f"v-{record.partition()}-{record.offset()}"}
            connection.execute(_GRANT, (outcome["voucher_id"], data["campaign_id"], data["user_id"], claim["id"]))
            connection.execute(_BOOK, (cause, data["campaign_id"], outcome["voucher_id"]))
        else:
            outcome = {"reason": "sold_out"}
    type_ = "voucher.granted" if "voucher_id" in outcome else "voucher.rejected"
    event = {**claim, "id": cause, "source": GROUP, "type": type_}
    return orjson.dumps({**event, "data": {**data, "command_id": claim["id"], **outcome}})


def main() -> int:
    """Work until SIGTERM; see the module."""
    loaded = settings.load()
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopping.set())
    consumer = Consumer(kafka.consumer_config(loaded, GROUP, auto_offset_reset="earliest"))
    producer = Producer(kafka.producer_config(loaded))

    def assigned(_consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        print("RUNNING", flush=True)

    with psycopg.connect(loaded.postgres, autocommit=True) as connection:
        connection.execute(_TABLES)
        consumer.subscribe(["claim.commands"], on_assign=assigned)
        latest: dict[int, int] = {}
        due = time.monotonic() + COMMIT_INTERVAL_SECONDS
        while not stopping.is_set():
            record = consumer.poll(POLL_SECONDS)
            if record is not None and record.error() is None:
                partition, offset = record.partition() or 0, record.offset() or 0
                producer.produce("claim.events", decide(connection, record), record.key(), partition)
                latest[partition] = offset + 1
            if latest and time.monotonic() >= due:
                producer.flush(FLUSH_SECONDS_MAX)  # at least once: an offset is committed after its event
                offsets = [TopicPartition("claim.commands", partition, offset) for partition, offset in latest.items()]
                consumer.commit(offsets=offsets, asynchronous=False)
                latest.clear()
                due = time.monotonic() + COMMIT_INTERVAL_SECONDS
    consumer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

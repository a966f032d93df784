"""The embedded cluster of one run, and the fresh state in which each measurement begins."""

import logging
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from benchmarks import traffic
from voucher_ledger.campaigns.store import CampaignsRoom
from voucher_ledger.dev import cluster
from voucher_ledger.runtime import kafka, logs, migrations, postgres, processor, topics
from voucher_ledger.runtime.settings import Settings, load

WAIT_SECONDS_MAX = 90.0
LOOK_AGAIN_SECONDS = 0.05
# Critical conditions only: what fails is told by the benchmark itself.
CLIENT_LOG_LEVEL = "2"
# Contestants are frozen while their topic is filled: the group must not take them for dead meanwhile.
SESSION_TIMEOUT_MS = 60_000
_GONE_OR_GOING = {"UNKNOWN_TOPIC_OR_PART", "GROUP_ID_NOT_FOUND", "NON_EMPTY_GROUP"}
# Told by a broker that has just made its offsets topic, or is reading it.
_NO_COORDINATOR_YET = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
}
_OWN_GROUPS = ("voucher-ledger-", "row-at-a-time")


@dataclass(frozen=True, slots=True)
class Servers:
    """The running cluster: its directory, its addresses and its processes."""

    directory: Path
    endpoints: cluster.Endpoints
    kafka: psutil.Process
    postgres: psutil.Process


@dataclass(slots=True)
class World:
    """Empty topics and an empty database on the warm servers. `connection` has full rights;
    `variables` are the environment that leads a processor here.
    """

    servers: Servers
    settings: Settings
    variables: dict[str, str]
    connection: psycopg.Connection

    def change_campaigns(self, commands: Sequence[traffic.Record]) -> None:
        """Open or change campaigns as anyone would: by commands, decided by the campaigns room."""
        progress = Progress(self.settings, kafka.group_of("campaigns"), CampaignsRoom.command_topic)
        decided = progress.answered() + len(commands)
        traffic.preload(self.settings, CampaignsRoom.command_topic, commands)
        stopping, failures = threading.Event(), list[BaseException]()

        def decide() -> None:
            try:
                processor.run(self.settings, CampaignsRoom(), stopping)
            except BaseException as error:
                failures.append(error)
                raise

        thread = threading.Thread(target=decide, name="campaigns", daemon=True)
        thread.start()
        try:
            deadline = time.monotonic() + WAIT_SECONDS_MAX
            while progress.answered() < decided:
                if failures or time.monotonic() > deadline:
                    raise RuntimeError("the campaigns did not change") from (failures[0] if failures else None)
                time.sleep(LOOK_AGAIN_SECONDS)
        finally:
            progress.close()
            stopping.set()
            thread.join(WAIT_SECONDS_MAX)


class Progress:
    """How many records of a topic a group has answered for everyone to see: it starts at offset 0, and its offsets are
    committed in the transactions of the answers. A consumer that never joins the group asks for them.
    """

    def __init__(self, settings: Settings, group: str, topic: str) -> None:
        """Raises KafkaException where the broker does not tell the topic's partitions."""
        # read_uncommitted: an offset in an open transaction is not waited for; it is not told either.
        properties = kafka.consumer_config(settings, group, isolation_level="read_uncommitted")
        self._consumer = Consumer(properties)
        numbers = self._consumer.list_topics(topic, timeout=kafka.REQUEST_SECONDS_MAX).topics[topic].partitions
        self._places = [TopicPartition(topic, number) for number in numbers]

    def answered(self) -> int:
        """The count as it is now. Raises KafkaException where the broker does not answer."""
        deadline = time.monotonic() + kafka.REQUEST_SECONDS_MAX
        while True:
            try:
                committed = self._consumer.committed(self._places, kafka.REQUEST_SECONDS_MAX)
                return sum(max(0, place.offset) for place in committed)
            except KafkaException as error:
                if error.args[0].code() not in _NO_COORDINATOR_YET or time.monotonic() > deadline:
                    raise
            time.sleep(LOOK_AGAIN_SECONDS)

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


@contextmanager
def servers() -> Iterator[Servers]:
    """A cluster in a new temporary directory, stopped and removed at the end, however that comes."""
    logs.configure()
    # The campaigns room starts and ends in this process for each measurement: nobody wants to read that each time.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    directory = Path(tempfile.mkdtemp(prefix="voucher-ledger-benchmark-"))
    try:
        endpoints = cluster.up(directory / "cluster")
        status = cluster.status(directory / "cluster")
        yield Servers(directory, endpoints, psutil.Process(status.kafka_pid), psutil.Process(status.postgres_pid))
    finally:
        cluster.remove(directory / "cluster")
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def fresh_world(running: Servers, *openings: traffic.Record) -> Iterator[World]:
    """New topics, no groups, a new database with these campaigns open; the database is dropped at the end."""
    name = f"benchmark_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(running.endpoints.postgres, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
    variables = {
        "VOUCHER_LEDGER_KAFKA": running.endpoints.kafka,
        "VOUCHER_LEDGER_POSTGRES": psycopg.conninfo.make_conninfo(running.endpoints.postgres, dbname=name),
        "VOUCHER_LEDGER_SESSION_TIMEOUT_MS": str(SESSION_TIMEOUT_MS),
    }
    loaded = load({**os.environ, **variables})
    quiet = {**loaded.kafka_properties, "log_level": CLIENT_LOG_LEVEL}
    settings = loaded.model_copy(update={"kafka_properties": quiet})
    admin = AdminClient(kafka.admin_config(settings))
    _reset_broker(admin)
    topics.ensure_topics(settings)
    connection = postgres.connect(settings.postgres, application="benchmark")
    try:
        migrations.migrate(connection)
        # Set for the session: counting half a million rows may take longer than a processor's statement.
        connection.execute("SET statement_timeout = '10min'")
        world = World(running, settings, variables, connection)
        world.change_campaigns(openings)
        yield world
    finally:
        connection.close()
        with psycopg.connect(running.endpoints.postgres, autocommit=True) as server:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _reset_broker(admin: AdminClient) -> None:
    """Delete all topics and the groups of earlier rounds (Kafka Streams leaves its own to time out)."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while names := [name for name in admin.list_topics(timeout=10).topics if not name.startswith("__")]:
        _bounded(deadline, f"topics {names}")
        _settle(admin.delete_topics(names))
    while groups := [
        found.group_id
        for found in admin.list_consumer_groups().result().valid
        if found.group_id.startswith(_OWN_GROUPS)
    ]:
        _bounded(deadline, f"groups {groups}")
        _settle(admin.delete_consumer_groups(groups))


def _bounded(deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"{what} of an earlier round are still there after {WAIT_SECONDS_MAX} s")


def _settle(futures: dict[str, Any]) -> None:
    for future in futures.values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].name() not in _GONE_OR_GOING:
                raise

"""One clean world a test: fresh topics and groups on the shared broker, a fresh database, and processors to kill."""

import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import orjson
import psycopg
from confluent_kafka import Message, Producer

from tests.integration import reading
from tests.integration.broker import WAIT_SECONDS_MAX, reset_broker
from tests.integration.commands import campaign_open
from tests.integration.reading import DEAD_LETTERS
from tests.integration.rollups import rollup_faults
from tests.integration.settling import settle
from tests.integration.within import processor_within
from voucher_ledger.core.clock import milliseconds
from voucher_ledger.core.demand import DEMAND_TOPIC
from voucher_ledger.ledger.audit import audit
from voucher_ledger.replay.seals.verify import verify_seals
from voucher_ledger.runtime import kafka, migrations, postgres, topics
from voucher_ledger.runtime.settings import Settings

CHILD = Path(__file__).with_name("processor_child.py")
COMMAND_TOPICS = ("campaign.commands", "claim.commands", "order.commands", "payment.commands")
# A killed static member keeps its group alive for as long.
SESSION_TIMEOUT_MS = 3_000


@dataclass(slots=True)
class World:
    """What a test acts through. Processors that it spawns are killed at its end."""

    settings: Settings
    connection: psycopg.Connection
    producer: Producer
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    rooms: dict[subprocess.Popen[bytes], str] = field(default_factory=dict)

    def spawn(
        self, room: str, *, instance: str | None = None, environment: dict[str, str] | None = None, **child: str
    ) -> subprocess.Popen[bytes]:
        """A processor in a process of its own; `window`, `signal` and `guard` as processor_child.py takes them."""
        options = [f"--{name}={value}" for name, value in {"instance": instance, **child}.items() if value]
        variables = {**os.environ, **self.variables(), **(environment or {})}
        process = subprocess.Popen(
            [sys.executable, str(CHILD), room, *options], env=variables, stdin=subprocess.DEVNULL
        )
        self.children.append(process)
        self.rooms[process] = room
        return process

    def send(self, topic: str, commands: Iterable[dict[str, Any]], *, partition: int = -1) -> int:
        """Produce commands under their right keys; returns when all are delivered."""
        key_field = "campaign_id" if topic == "campaign.commands" else "user_id"
        return self.send_raw(
            topic,
            ((command["data"][key_field].encode(), orjson.dumps(command)) for command in commands),
            partition=partition,
        )

    def send_raw(self, topic: str, records: Iterable[tuple[bytes | None, bytes | None]], *, partition: int = -1) -> int:
        """Produce records as they are."""
        count = 0
        failed: list[Any] = []

        def delivered(error: Any, _message: Message) -> None:
            if error is not None:
                failed.append(error)

        for key, value in records:
            self.producer.produce(topic, value, key, partition, on_delivery=delivered)
            self.producer.poll(0)
            count += 1
        assert self.producer.flush(WAIT_SECONDS_MAX) == 0
        assert failed == []
        return count

    def read(self, topic: str, count: int | None = None) -> list[Message]:
        """The committed records of a topic: waits for `count` of them, or (None) reads to the end as it is now."""
        return reading.read(self.settings, topic, count)

    def outcomes(self, room: str, count: int | None = None) -> list[dict[str, Any]]:
        """The events of a room's topic, decoded."""
        return [orjson.loads(record.value() or b"") for record in self.read(f"{room}.events", count)]

    def wait_stopped(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until a child has stopped itself (SIGSTOP)."""
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"the child ended instead, with status {status}"

    def wait_epoch_above(self, topic: str, epoch: int) -> None:
        """Wait until every partition of `topic` has been taken over more than `epoch` times."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            lowest = self.connection.execute(
                "SELECT min(epoch) FROM books.position, pg_sleep(0.05) WHERE topic = %s", (topic,)
            ).fetchone()
            if lowest and lowest[0] is not None and lowest[0] > epoch:
                return
            assert time.monotonic() < deadline, f"{topic} is not taken over: epoch {lowest}"

    def wait_held_by(self, topic: str, instance: str) -> None:
        """Wait until `instance` has taken over a partition of `topic`."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not self.connection.execute(
            "SELECT 1 FROM books.position, pg_sleep(0.05) WHERE topic = %s AND instance = %s LIMIT 1", (topic, instance)
        ).fetchall():
            assert time.monotonic() < deadline, f"{instance} holds nothing of {topic}"

    def reconnect(self) -> None:
        """Connect again after Postgres was restarted."""
        self.connection.close()
        self.connection = postgres.connect(self.settings.postgres, application="test")

    def stop_cleanly(self, process: subprocess.Popen[bytes], room: str, count: int) -> None:
        """Let a processor publish `count` outcomes and finish."""
        self.outcomes(room, count)
        process.terminate()
        assert process.wait(WAIT_SECONDS_MAX) == 0

    def failure_of(self, room: str) -> str:
        """Start a processor that is expected to stop with an error; what it printed."""
        variables = {**os.environ, **self.variables()}
        ended = subprocess.run(
            [sys.executable, str(CHILD), room], env=variables, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=WAIT_SECONDS_MAX, check=False,
        )  # fmt: skip
        assert ended.returncode != 0
        return ended.stderr.decode()

    def first_outbox_row(self) -> tuple[int, int]:
        """(partition, first_offset) of an outbox row that holds more than one record."""
        row = self.connection.execute(
            "SELECT partition, first_offset FROM books.outbox WHERE next_offset > first_offset + 1 LIMIT 1"
        ).fetchone()
        assert row is not None
        return (row[0], row[1])

    def variables(self) -> dict[str, str]:
        """The environment that leads a processor to this world."""
        return {
            "VOUCHER_LEDGER_KAFKA": self.settings.kafka,
            "VOUCHER_LEDGER_POSTGRES": self.settings.postgres,
            "VOUCHER_LEDGER_SESSION_TIMEOUT_MS": str(self.settings.session_timeout_ms),
        }

    def wait_answered(self, topic: str, count: int) -> None:
        """Wait until `count` commands of `topic` are answered: published events and dead letters together."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        answered = 0
        with closing(reading.Reading(self.settings, [topic.replace("commands", "events"), DEAD_LETTERS])) as answers:
            while answered < count:
                answered += sum(reading.command_topic_of(record) == topic for record in answers.more())
                if answered >= count:
                    return
                for child in self.children:
                    assert child.poll() in (None, -9, -15, 0), f"a processor ended with {child.returncode}"
                assert time.monotonic() < deadline, (
                    f"{topic}: {answered} of {count} answered within {WAIT_SECONDS_MAX} s"
                )

    def faults(self) -> list[str]:
        """What is wrong, in words: commands without exactly one outcome or dead letter, what the audit finds, and what
        is not as it was sealed.
        """
        settle(self.connection, self.rooms)
        found: list[str] = []
        told: Counter[tuple[str, str, int]] = Counter()
        dead = [reading.cause_of(record) for record in self.read(DEAD_LETTERS)]
        for topic in COMMAND_TOPICS:
            events = self.outcomes(topic.removesuffix(".commands"))
            told.update((topic, event["type"], milliseconds(event["time"]) // 1000) for event in events)
            causes = Counter("/".join(event["id"].split("/")[:3]) for event in events)
            causes.update(cause for cause in dead if cause.startswith(f"{topic}/"))
            commands = {f"{topic}/{record.partition()}/{record.offset()}" for record in self.read(topic)}
            found += [f"{cause} answered {count} times" for cause, count in causes.items() if count > 1]
            found += [f"{command} not answered" for command in sorted(commands - causes.keys())]
            found += [f"{cause} answered but never sent" for cause in sorted(causes.keys() - commands)]
        found += rollup_faults(told, lambda: self.read(DEMAND_TOPIC))
        report = audit(self.connection)
        found += [f"audit: {check.name}: {check.rows}" for check in report.checks if not check.passed]
        sealed = verify_seals(self.settings, Event())
        return found + [f"{fault}: {text}" for fault, texts in sealed.shown.items() for text in texts]

    def open_campaign(self, campaign_id: str = "grey", **changes: Any) -> None:
        """Send `campaign.open`, decide it by a campaigns processor, and wait for the event."""
        before = len(self.read("campaign.events"))
        self.send("campaign.commands", [campaign_open(campaign_id, **changes)])
        with processor_within(self.settings, "campaigns") as ended:
            self.read("campaign.events", before + 1)
        ended.result(WAIT_SECONDS_MAX)

    def balances(self, campaign_id: str = "grey") -> dict[tuple[str, str], int]:
        """Balance by (role, unit)."""
        rows = self.connection.execute(
            "SELECT role, unit, balance FROM ledger.balance WHERE campaign_id = %s", (campaign_id,)
        )
        return {(role, unit): balance for role, unit, balance in rows}


def fresh_world(kafka_servers: str, postgres_dsn: str) -> World:
    """Delete what an earlier test left on the broker, and make a database of its own."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    dsn = psycopg.conninfo.make_conninfo(postgres_dsn, dbname=name)
    settings = Settings(kafka=kafka_servers, postgres=dsn, session_timeout_ms=SESSION_TIMEOUT_MS)
    reset_broker(settings)
    topics.ensure_topics(settings)
    connection = postgres.connect(dsn, application="test")
    migrations.migrate(connection)
    return World(settings, connection, Producer(kafka.producer_config(settings, linger_ms=1)))


def kill(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End processes hard and wait until they are gone."""
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()

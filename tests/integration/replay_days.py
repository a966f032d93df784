"""What the tests of the replay tools share: a day with a kill, copies of databases, topics that are tampered with."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import psycopg
import pytest
from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.world import World
from voucher_ledger import cli
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import kafka, topics
from voucher_ledger.simulate import command as simulate_command

ROOMS = {"campaign": "campaigns", "claim": "claims", "order": "orders", "payment": "payments"}
CLAIMS, CARDS = 2_000, 250
WHY = ("--apply", "--reason", "lost")


class Program:
    """`voucher-ledger replay` in this process, with what it prints."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        for name, value in world.variables().items():
            monkeypatch.setenv(name, value)

    def run(self, *arguments: str, code: int = ExitCode.DONE) -> tuple[str, str]:
        """What it printed on standard output and standard error."""
        self._capsys.readouterr()
        found = cli.main(["replay", *arguments])
        printed = self._capsys.readouterr()
        assert found == code, printed
        return printed.out, printed.err

    def json(self, *arguments: str, code: int = ExitCode.DONE) -> Any:
        return orjson.loads(self.run(*arguments, "--json", code=code)[0])


def play_a_day_with_a_kill(world: World) -> None:
    """A small day against live processors, of which the first one of the claims is killed after its first commit: how
    many batches more it would have depends on how fast the day is played.
    """
    world.spawn("claims", instance="claims-0", window="after_commit")
    for room in ("campaigns", "orders", "payments"):
        world.spawn(room)
    for topic in ROOMS:
        world.wait_epoch_above(f"{topic}.commands", 0)
    world.spawn("claims", instance="claims-1")
    options: dict[str, Any] = {"claims": CLAIMS, "cards": CARDS, "seed": 5, "campaign_id": "day", "hold_ttl_s": 600}
    assert simulate_command.run(world.settings, **options) == ExitCode.DONE
    assert world.children[0].wait(WAIT_SECONDS_MAX) == -9, "no processor was killed"


def stop_all(world: World) -> None:
    """Let all processors that live finish."""
    living = [child for child in world.children if child.poll() is None]
    for child in living:
        child.terminate()
    assert [child.wait(WAIT_SECONDS_MAX) for child in living] == [0] * len(living)


def new_database(world: World, template: str = "template1") -> str:
    """The DSN of a database of its own on the world's server; a template may have no connections."""
    name = f"replay_{uuid.uuid4().hex}"
    server = psycopg.conninfo.make_conninfo(world.settings.postgres, dbname="postgres")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    return psycopg.conninfo.make_conninfo(world.settings.postgres, dbname=name)


def tampered_copy(world: World, *statements: str) -> str:
    """The DSN of a copy of the world's database, changed by hand, past triggers; each statement changes one row."""
    dsn = new_database(world, str(psycopg.conninfo.conninfo_to_dict(world.settings.postgres)["dbname"]))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        for statement in statements:
            assert connection.execute(statement.encode()).rowcount == 1, statement
    return dsn


def one(dsn: str, query: str) -> Any:
    """The first column of the first row."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None, query
    return row[0]


def journal(dsn: str) -> list[tuple[str, str, dict[str, Any]]]:
    """What the operations journal of a rebuilt ledger tells, the oldest first: outcome, error, arguments."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT outcome, coalesce(result ->> 'error', ''), arguments FROM ledger.operation ORDER BY started_at"
        ).fetchall()


def rewrite_topic(
    world: World, topic: str, change: Callable[[Sequence[Message]], list[tuple[int, bytes, bytes]]]
) -> None:
    """Make a topic anew with what `change` makes of its records: (partition, key, value)."""
    rewritten = change(world.read(topic))
    admin = AdminClient(kafka.admin_config(world.settings))
    for future in admin.delete_topics([topic], operation_timeout=WAIT_SECONDS_MAX).values():
        future.result()
    topics.ensure_topics(world.settings)
    for partition in sorted({row[0] for row in rewritten}):
        world.send_raw(
            topic, [(key, value) for number, key, value in rewritten if number == partition], partition=partition
        )

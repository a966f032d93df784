"""What `topics`, `migrate` or a grant makes is missing: every command says so in one line, with the same exit code."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import orjson
import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.world import World
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import kafka

pytestmark = pytest.mark.integration

OUTSIDER = "voucher_ledger_test_outsider"


def end_of(world: World, *arguments: str, **variables: str) -> tuple[int, str]:
    """The exit code of a command, and what it wrote to standard error."""
    ended = subprocess.run(
        [sys.executable, "-m", "voucher_ledger", *arguments],
        env={**os.environ, **world.variables(), **variables},
        input=orjson.dumps(claim(1)),
        capture_output=True,
        timeout=WAIT_SECONDS_MAX,
        check=False,
    )
    return ended.returncode, ended.stderr.decode()


def ends_of(world: World, *commands: list[str], **variables: str) -> list[tuple[list[str], int, str]]:
    """As `end_of`, side by side: each takes a Python of its own a second to start, and some wait before they say it."""
    with ThreadPoolExecutor() as pool:
        ended = [(arguments, pool.submit(end_of, world, *arguments, **variables)) for arguments in commands]
        return [(arguments, *future.result()) for arguments, future in ended]


def epochs(world: World) -> list[tuple[int, int]]:
    """The claims room's partitions and how often each was taken over."""
    return world.connection.execute(
        "SELECT partition, epoch FROM ledger.position WHERE topic = 'claim.commands' ORDER BY partition"
    ).fetchall()


def test_a_process_on_an_empty_database_disturbs_no_live_one(world: World) -> None:
    """Under a name that is free there it joined the Kafka group, and so fenced the one that had the name."""
    world.open_campaign()
    world.spawn("claims")
    world.send("claim.commands", [claim(1)])
    world.wait_answered("claim.commands", 1)
    before = epochs(world)
    empty = f"empty_{uuid.uuid4().hex}"
    world.connection.execute(f'CREATE DATABASE "{empty}"'.encode())
    dsn = psycopg.conninfo.make_conninfo(world.settings.postgres, dbname=empty)
    code, told = end_of(world, "run", "claims", VOUCHER_LEDGER_POSTGRES=dsn)
    assert (code, "run `voucher-ledger migrate` first" in told) == (ExitCode.USAGE, True), told
    world.send("claim.commands", [claim(number) for number in range(2, 50)])
    world.wait_answered("claim.commands", 49)
    assert epochs(world) == before, "nobody took over"


@pytest.fixture
def outsider(world: World) -> Iterator[str]:
    """A DSN of this world's database whose login was granted nothing."""
    world.connection.execute(f"CREATE ROLE {OUTSIDER} LOGIN")
    yield psycopg.conninfo.make_conninfo(world.settings.postgres, user=OUTSIDER)
    world.connection.execute(f"DROP ROLE {OUTSIDER}")


def test_a_missing_topic_is_told_with_the_command_that_makes_it(world: World) -> None:
    admin = AdminClient(kafka.admin_config(world.settings))
    admin.delete_topics(["order.commands"])["order.commands"].result()
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while "order.commands" in admin.list_topics(timeout=10).topics:
        assert time.monotonic() < deadline
    for arguments, code, told in ends_of(
        world, ["produce"], ["status"], ["simulate"], ["run", "orders"], ["run", "sweeper"]
    ):
        assert (code, arguments) == (ExitCode.USAGE, arguments), told
        assert "has no topic order.commands: run `voucher-ledger topics` first" in told
        assert "Traceback" not in told


def test_missing_tables_are_told_with_the_command_that_makes_them(world: World) -> None:
    world.connection.execute("DROP SCHEMA ledger CASCADE; DROP SCHEMA books CASCADE")
    for arguments, code, told in ends_of(world, ["status"], ["audit"], ["run", "orders"], ["run", "sweeper"]):
        assert (code, arguments) == (ExitCode.USAGE, arguments), told
        assert "run `voucher-ledger migrate`" in told
        assert "Traceback" not in told


def test_a_refused_login_is_told_as_one(world: World, outsider: str) -> None:
    world.connection.execute(f"ALTER ROLE {OUTSIDER} NOLOGIN")
    refused = {
        outsider: "is not permitted to log in",
        psycopg.conninfo.make_conninfo(outsider, user="no_such_user"): 'role "no_such_user" does not exist',
        psycopg.conninfo.make_conninfo(world.settings.postgres, dbname="none"): 'database "none" does not exist',
    }
    for dsn, why in refused.items():
        for arguments, code, told in ends_of(
            world, ["audit"], ["status"], ["migrate"], ["run", "orders"], VOUCHER_LEDGER_POSTGRES=dsn
        ):
            assert (code, arguments) == (ExitCode.UNREACHABLE, arguments), told
            assert "Postgres refused the login" in told
            assert why in told.replace('\\"', '"')  # `run` tells it in JSON, with its quotes escaped
            assert "does not answer" not in told


def test_a_login_without_the_role_is_told_what_to_do(world: World, outsider: str) -> None:
    for arguments, code, told in ends_of(
        world, ["status"], ["run", "orders"], ["run", "sweeper"], VOUCHER_LEDGER_POSTGRES=outsider
    ):
        assert (code, arguments) == (ExitCode.USAGE, arguments), told
        assert "this login may not: permission denied " in told
        role = "voucher_ledger_reader" if arguments == ["status"] else "voucher_ledger_writer"
        assert f"GRANT {role} TO <login>" in told
    code, told = end_of(world, "migrate", VOUCHER_LEDGER_POSTGRES=outsider)
    assert (code, len(told.splitlines())) == (ExitCode.USAGE, 1), told
    assert told.startswith("error: this login may not migrate: permission denied "), told

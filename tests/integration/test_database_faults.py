"""A database that is damaged or takes no writes: no record is at fault, and all are answered in the end."""

import time

import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.reading import DEAD_LETTERS
from tests.integration.world import World
from voucher_ledger.runtime import positions

pytestmark = pytest.mark.integration

CLAIMS = 20
# As Postgres tells of a damaged page, SQLSTATE XX001. Of the statement, so that no row is at fault.
DAMAGE = """
CREATE FUNCTION public.damaged() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'invalid page in block 7 of relation base/5/16385' USING ERRCODE = 'data_corrupted'; END $$;
CREATE TRIGGER damaged BEFORE INSERT ON books.voucher FOR EACH STATEMENT EXECUTE FUNCTION public.damaged()"""


def send_claims(world: World, first: int) -> None:
    world.send("claim.commands", [claim(number) for number in range(first, first + CLAIMS)])


def check_granted_once(world: World, count: int) -> None:
    assert [event["type"] for event in world.outcomes("claim")] == ["voucher.granted"] * count
    assert world.read(DEAD_LETTERS) == []
    assert world.faults() == []


def test_damaged_data_are_no_records_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.open_campaign()
    world.connection.execute(DAMAGE)
    send_claims(world, 0)
    monkeypatch.setenv("VOUCHER_LEDGER_ATTEMPTS_MAX", "2")
    told = world.failure_of("claims")
    assert "SessionLost: Postgres: invalid page in block 7" in told
    assert "session lost, starting another" in told
    assert world.read(DEAD_LETTERS) == []
    world.connection.execute("DROP TRIGGER damaged ON books.voucher")
    world.spawn("claims")
    world.wait_answered("claim.commands", CLAIMS)
    check_granted_once(world, CLAIMS)


def sessions(world: World, instance: str) -> set[int]:
    """The server's processes that serve the sessions of `instance`: one each."""
    rows = world.connection.execute(
        "SELECT pid FROM pg_stat_activity, pg_sleep(0.05) WHERE datname = current_database() AND application_name = %s",
        (f"voucher-ledger-{instance}",),
    )
    return {pid for (pid,) in rows}


def test_a_database_that_takes_no_writes_for_a_while_is_waited_for(world: World) -> None:
    """As after a failover to a standby, or where a managed Postgres has a full disk."""
    world.open_campaign()
    process = world.spawn("claims", instance="claims-7")
    send_claims(world, 0)
    world.wait_answered("claim.commands", CLAIMS)
    before = sessions(world, "claims-7")
    database = sql.Identifier(str(conninfo_to_dict(world.settings.postgres)["dbname"]))
    # For sessions that begin from now on: not for the test's own, which must take it back.
    world.connection.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(database))
    world.connection.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", ([*before],))
    send_claims(world, CLAIMS)
    later: set[int] = set()
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while len(later) < 2:  # the first of them could not write, and was given up
        assert process.poll() is None
        assert time.monotonic() < deadline, "no second session"
        later |= sessions(world, "claims-7") - before
    world.connection.execute(sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(database))
    world.wait_answered("claim.commands", 2 * CLAIMS)
    assert process.poll() is None
    check_granted_once(world, 2 * CLAIMS)


def test_a_batch_is_on_disk_whatever_the_database_does_by_default(world: World) -> None:
    name = sql.Identifier(str(conninfo_to_dict(world.settings.postgres)["dbname"]))
    for default in (sql.SQL("synchronous_commit = off"), sql.SQL("default_transaction_isolation = serializable")):
        world.connection.execute(sql.SQL("ALTER DATABASE {} SET {}").format(name, default))
    with positions.connect(world.settings.postgres, application="claims-0") as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
        assert connection.execute("SHOW transaction_isolation").fetchone() == ("read committed",)

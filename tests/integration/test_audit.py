"""The audit on a real Postgres: what the rooms wrote passes, and each planted corruption is found."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import psycopg
import pytest

from tests.integration import corruptions, corruptions_seals, corruptions_several
from tests.integration.books import START_MS, Books, write_history
from voucher_ledger.dev import cluster
from voucher_ledger.dev.cluster import Endpoints
from voucher_ledger.ledger import audit as audit_module
from voucher_ledger.ledger import audit_command
from voucher_ledger.ledger.audit import ROWS_SHOWN_MAX, audit, load_checks, run_checks
from voucher_ledger.replay import ledger_rows, trace_subject
from voucher_ledger.runtime import migrations
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.postgres import connect

pytestmark = pytest.mark.integration

CORRUPTIONS = {**corruptions.CORRUPTIONS, **corruptions_several.CORRUPTIONS, **corruptions_seals.CORRUPTIONS}


@dataclass(frozen=True, slots=True)
class Written:
    """A database with a history, and the next offsets of its partitions. No test may change it."""

    dsn: str
    next_offsets: dict[tuple[str, int], int]


def make_database(postgres: str, template: str) -> str:
    """The DSN of a new database that is a copy of `template`."""
    name = f"audit_{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    return psycopg.conninfo.make_conninfo(postgres, dbname=name)


def name_of(dsn: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])


@pytest.fixture(scope="module")
def empty(cluster_directory: Path) -> str:
    """A migrated database without a campaign."""
    dsn = make_database(cluster.up(cluster_directory).postgres, "template1")
    with connect(dsn, application="test") as connection:
        migrations.migrate(connection)
    return dsn


@pytest.fixture(scope="module")
def written(cluster_directory: Path, empty: str) -> Written:
    """The history of tests/integration/books.py."""
    dsn = make_database(cluster.up(cluster_directory).postgres, name_of(empty))
    books = Books(dsn)
    write_history(books)
    books.connection.close()
    return Written(dsn, books.next_offsets)


@pytest.fixture
def ledger(endpoints: Endpoints, written: Written) -> str:
    """The DSN of this test's own copy of the history."""
    return make_database(endpoints.postgres, name_of(written.dsn))


@pytest.fixture
def books(ledger: str, written: Written) -> Iterator[Books]:
    """The rooms at work on this test's copy."""
    books = Books(ledger)
    books.next_offsets = dict(written.next_offsets)
    yield books
    books.connection.close()


def failures(dsn: str) -> dict[str, list[dict[str, object]]]:
    """The offending rows of each check that fails, by its name."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return {check.name: list(check.rows) for check in audit(connection).checks if not check.passed}


def test_an_empty_ledger_passes(empty: str) -> None:
    assert failures(empty) == {}


def test_a_ledger_of_every_state_passes(books: Books, ledger: str) -> None:
    states = books.connection.execute("SELECT DISTINCT state::text FROM books.voucher").fetchall()
    assert {state for (state,) in states} == {"granted", "held", "spent", "expired"}
    assert failures(ledger) == {}


def test_a_lease_drawn_for_a_batch_that_is_not_yet_decided_has_its_cause(books: Books, ledger: str) -> None:
    """The draw commits by itself, before the batch: an audit in between must not cry wolf."""
    commands = books.commands(
        books.claims, 0, START_MS + 5, ("voucher.claim", "claim-new", {"campaign_id": "other", "user_id": "new"})
    )
    state = books.claims.prepare(books.connection, commands, lock=False)
    drawn = books.connection.execute(
        "SELECT max(cause_offset) FROM books.transfer WHERE cause_topic = 'claim.commands' AND cause_partition = 0"
    ).fetchone()
    assert drawn == (commands[0].offset,), "the lease was not drawn ahead of the batch"
    assert failures(ledger) == {}
    assert [event.type for event in books.decide(books.claims, commands, state)] == ["voucher.granted"]
    assert failures(ledger) == {}


def test_the_audit_passes_while_traffic_runs(books: Books, ledger: str) -> None:
    def traffic() -> None:
        for place in range(50):
            books.claim(place % 2, f"user-{place}", campaign_id="other")

    running = Thread(target=traffic)
    running.start()
    audits = 0
    while running.is_alive() or audits == 0:
        assert failures(ledger) == {}
        audits += 1
    running.join()
    assert books.next_offsets["claim.commands", 0] > 25
    assert failures(ledger) == {}


def test_a_session_of_a_processor_is_left_as_it_was(books: Books) -> None:
    """Its plans are for look-ups by key: the audit has its own, for itself alone."""
    assert audit(books.connection).passed
    settings = books.connection.execute(
        "SELECT current_setting('enable_hashjoin'), current_setting('transaction_read_only')"
    )
    assert settings.fetchone() == ("off", "off")


def test_the_operator_may_audit(ledger: str) -> None:
    with connect(ledger, application="test", role="voucher_ledger_operator") as connection:
        assert audit(connection).passed


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_found_and_named(written: Written, name: str) -> None:
    planted = CORRUPTIONS[name]
    with psycopg.connect(written.dsn) as connection:
        # Past triggers and foreign keys, as a broken disk or a careless superuser would be.
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(planted.statements.encode())
        found = {check.name: check.rows for check in run_checks(connection).checks if not check.passed}
        connection.rollback()
    assert set(found) == planted.checks
    column, value = planted.told_by
    rows = found[planted.meant_for]
    assert value in [str(row[column]) for row in rows], rows


def test_every_check_has_a_corruption_that_it_finds() -> None:
    assert {planted.meant_for for planted in CORRUPTIONS.values()} == {check.name for check in load_checks()}


def test_many_offending_rows_are_counted_and_some_are_named(books: Books, ledger: str) -> None:
    books.claim(0, *[f"user-{place}" for place in range(ROWS_SHOWN_MAX + 5)], campaign_id="other")
    with psycopg.connect(ledger, autocommit=True) as connection:
        connection.execute(
            "UPDATE books.voucher SET face_value_minor = face_value_minor + 1 WHERE campaign_id = 'other'"
        )
        check = next(c for c in audit(connection).checks if c.name == "vouchers_equal_their_postings")
    assert check.offending_count == ROWS_SHOWN_MAX + 5
    assert len(check.rows) == ROWS_SHOWN_MAX


def test_the_command_tells_and_exits_by_the_contract(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit_command.run(ledger, json=False) == 0
    assert f"audit passed: {len(load_checks())} checks" in capsys.readouterr().out
    assert audit_command.run(ledger, json=True) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True
    with psycopg.connect(ledger, autocommit=True) as connection:
        connection.execute("UPDATE books.campaign SET per_user_limit = 1 WHERE campaign_id = 'grey'")
    assert audit_command.run(ledger, json=False) == 1
    assert "campaign_id=grey, user_id=twice, vouchers=2, per_user_limit=1" in capsys.readouterr().out
    assert audit_command.run(ledger, json=True) == 1
    report = json.loads(capsys.readouterr().out)
    failed = [check for check in report["checks"] if not check["passed"]]
    assert [check["name"] for check in failed] == ["user_limits_are_kept"]
    assert failed[0]["rows"] == [{"campaign_id": "grey", "user_id": "twice", "vouchers": 2, "per_user_limit": 1}]


def test_the_command_says_what_it_cannot_audit(endpoints: Endpoints, capsys: pytest.CaptureFixture[str]) -> None:
    bare = make_database(endpoints.postgres, "template1")
    assert audit_command.run(bare, json=False) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: no ledger in this database")
    assert "voucher-ledger migrate" in told
    assert audit_command.run("host=127.0.0.1 port=1", json=False) == 3
    assert "does not answer" in capsys.readouterr().err
    assert audit_command.run("no connection string", json=False) == 2


def test_who_waits_for_a_table_s_lock_is_told_so(
    ledger: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sat there for half an hour without a word."""
    for module, name in ((audit_module, "_SETTINGS"), (ledger_rows, "_BOUNDS"), (trace_subject, "_BOUNDS")):
        usual = getattr(module, name)
        hasty = usual.replace("lock_timeout = '10s'", "lock_timeout = '50ms'")
        assert hasty != usual
        monkeypatch.setattr(module, name, hasty)
    with psycopg.connect(ledger) as holder, psycopg.connect(ledger, autocommit=True) as connection:
        holder.execute("LOCK TABLE books.account, books.voucher IN ACCESS EXCLUSIVE MODE")
        assert audit_command.run(ledger, json=False) == 3
        assert "another session has held a lock" in capsys.readouterr().err
        with pytest.raises(Unreachable, match="another session has held a lock"):
            trace_subject.find(connection, "ana")
        with pytest.raises(Unreachable, match="RUNBOOKS"), ledger_rows.snapshot(connection) as rows:
            rows.figures()

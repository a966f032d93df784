"""How long a migration may take, and what it may wait for."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from voucher_ledger.runtime import migrations, postgres
from voucher_ledger.runtime.errors import Unreachable

pytestmark = pytest.mark.integration


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    """One whose statements may take a second."""
    with postgres.connect(database, application="test") as made:
        made.execute("SET statement_timeout = '1s'")
        yield made


@pytest.fixture
def another(database: str) -> Iterator[psycopg.Connection]:
    with postgres.connect(database, application="test-another") as made:
        yield made


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Adds one more migration, of the given SQL."""
    shipped = migrations.files()

    def add_one(sql: str) -> None:
        path = tmp_path / "999_test.sql"
        path.write_text(sql, encoding="utf-8")
        monkeypatch.setattr(migrations, "files", lambda: [*shipped, path])

    return add_one


def test_a_long_migration_is_not_cut_off(connection: psycopg.Connection, add: Callable[[str], None]) -> None:
    add("SELECT pg_sleep(1.5)")
    assert migrations.migrate(connection) == ["999_test.sql"]
    assert connection.execute("SHOW statement_timeout").fetchone() == ("1s",)
    assert connection.execute("SHOW lock_timeout").fetchone() == ("0",)


def test_a_migration_gives_way_where_a_lock_is_held(
    connection: psycopg.Connection,
    another: psycopg.Connection,
    add: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrations, "LOCK_SECONDS_MAX", 0.2)
    add("CREATE TABLE books.made (); ALTER TABLE books.campaign ADD COLUMN extra text")
    with another.transaction():
        another.execute("LOCK TABLE books.campaign IN ACCESS SHARE MODE")
        with pytest.raises(Unreachable, match=r"999_test\.sql waited 0\.2 s for a lock .* rolled back, try again"):
            migrations.migrate(connection)
    assert connection.execute("SELECT to_regclass('books.made')").fetchone() == (None,)
    assert migrations.migrate(connection) == ["999_test.sql"]


def test_a_second_migrate_says_that_one_is_at_work(connection: psycopg.Connection, another: psycopg.Connection) -> None:
    with (
        postgres.locked(another, "voucher-ledger-migrate"),
        pytest.raises(Unreachable, match="another `voucher-ledger migrate` is at work"),
    ):
        migrations.migrate(connection)
    assert migrations.migrate(connection) == []


def test_a_partition_in_which_nothing_was_decided_has_no_record_time(connection: psycopg.Connection) -> None:
    migrations.migrate(connection)
    connection.execute(
        "INSERT INTO books.position (topic, partition, next_offset, epoch, topic_id, instance, record_time_ms) "
        "VALUES ('claim.commands', 90, 0, 1, 't', 'i', 0), ('claim.commands', 91, 0, 1, 't', 'i', 1000)"
    )
    found = connection.execute(
        "SELECT extract(epoch FROM record_time)::int FROM ledger.position WHERE partition >= 90 ORDER BY partition"
    ).fetchall()
    assert found == [(None,), (1,)]

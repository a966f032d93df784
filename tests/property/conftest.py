"""One Postgres for the run, without Kafka, and in it one migrated database that is emptied between examples."""

from collections.abc import Iterator

import pytest

from tests.integration.unflushed import never_flush
from tests.property.deciding import Ledger
from voucher_ledger.dev import ports, postgres_home, postgres_server
from voucher_ledger.runtime import migrations, postgres

pytest.register_assert_rewrite("tests.property.properties")


def _quiet(_line: str) -> None:
    """Nobody watches the start."""


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A migrated database of our own, with the processors' deciders on it; each example begins with `begin()`."""
    directory = tmp_path_factory.mktemp("property")
    chosen = ports.pick_all()
    try:
        postgres_server.start(directory, chosen, _quiet)
        dsn = postgres_server.dsn(chosen.postgres)
        never_flush(dsn)
        with postgres.connect(dsn, application="test") as connection:
            migrations.migrate(connection)
            # Deciders at once do lock each other out, and are meant to try again: not after a whole second each time.
            connection.execute(f"ALTER DATABASE {postgres_server.DATABASE} SET deadlock_timeout = '20ms'".encode())
        made = Ledger(dsn)
        yield made
        made.close()
    finally:
        postgres_server.stop(directory, _quiet)
        postgres_home.remove_data(postgres_server.link_path(directory))

"""One monitor a ledger: a second is refused, and says what to do; a lost connection alone ends nobody."""

import psycopg
import pytest

from tests.property.deciding import Ledger
from voucher_ledger.monitor import single
from voucher_ledger.monitor.single import OneMonitor
from voucher_ledger.runtime.processor import InstanceTaken
from voucher_ledger.runtime.settings import Settings

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(ledger: Ledger) -> Settings:
    return Settings(kafka="127.0.0.1:1", postgres=ledger.dsn)


def end(monitor: OneMonitor, connection: psycopg.Connection) -> None:
    """Its session in Postgres is over, as at a restart of the server."""
    connection.execute("SELECT pg_terminate_backend(%s, 5000)", (monitor._connection.info.backend_pid,))


def test_a_second_is_refused_and_told_what_to_do(settings: Settings) -> None:
    first = OneMonitor(settings)
    with pytest.raises(InstanceTaken, match=r"another monitor runs on this ledger.*--no-monitor"):
        OneMonitor(settings, seconds_max=0)
    first.close()
    OneMonitor(settings, seconds_max=0).close()


def test_a_second_waits_for_one_that_is_ending(settings: Settings) -> None:
    first = OneMonitor(settings)
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        first.close()

    OneMonitor(settings, sleep=sleep).close()
    assert slept == [single.RETRY_SECONDS] * len(slept)
    assert slept


def test_a_lost_connection_is_made_again_and_the_turn_kept(settings: Settings, ledger: Ledger) -> None:
    first = OneMonitor(settings)
    first.look()
    end(first, ledger.connection)
    first.look()
    with pytest.raises(InstanceTaken):
        OneMonitor(settings, seconds_max=0)
    first.close()


def test_one_whose_turn_was_taken_meanwhile_ends(
    settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = OneMonitor(settings)
    end(first, ledger.connection)
    second = OneMonitor(settings, seconds_max=0)
    first.look()  # the server might hold it for the dead connection still
    monkeypatch.setattr(single, "TURN_SECONDS_MAX", -1.0)
    with pytest.raises(InstanceTaken):
        first.look()
    first.close()
    second.close()


def test_while_postgres_is_away_nothing_is_lost(settings: Settings, ledger: Ledger) -> None:
    first = OneMonitor(settings)
    end(first, ledger.connection)
    first._settings = Settings(kafka="127.0.0.1:1", postgres="host=127.0.0.1 port=1")
    first.look()
    first.look()
    first._settings = settings
    first.look()
    with pytest.raises(InstanceTaken):
        OneMonitor(settings, seconds_max=0)
    first.close()

"""How seals come to be: with what is decided, before it is published, and never changed afterwards."""

from threading import Event

import psycopg
import pytest

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.reading import DEAD_LETTERS
from tests.integration.tools import KILLED
from tests.integration.waits import decided
from tests.integration.world import World
from voucher_ledger.replay.seals.report import Fault, SealsReport
from voucher_ledger.replay.seals.verify import verify_seals
from voucher_ledger.runtime import postgres

pytestmark = pytest.mark.integration


def test_what_is_decided_and_not_published_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.open_campaign()
    world.send("claim.commands", [claim(number) for number in range(50)], partition=3)
    assert world.spawn("claims", window="after_commit").wait(WAIT_SECONDS_MAX) == KILLED
    monkeypatch.setattr("voucher_ledger.replay.seals.verify.PUBLISHED_SECONDS_MAX", 0.0)
    missing = said_count(verify_seals(world.settings, Event()))
    assert missing > 0
    monkeypatch.setattr("voucher_ledger.replay.seals.verify.PUBLISHED_SECONDS_MAX", WAIT_SECONDS_MAX)
    world.spawn("claims")
    assert verify_seals(world.settings, Event()).passed
    world.wait_answered("claim.commands", 50)
    assert world.faults() == []


def said_count(report: SealsReport) -> int:
    assert all("still in the outbox" in text for text in report.shown[Fault.MISSING]), report.shown
    return report.counts[Fault.MISSING]


def test_a_processor_that_does_not_seal_decides_nothing(world: World) -> None:
    """One of a version before seals, on a database that has them: it ends, and no record is blamed for it."""
    world.open_campaign()
    world.send("claim.commands", [claim(number) for number in range(50)], partition=3)
    assert world.spawn("claims", fault="unsealed").wait(WAIT_SECONDS_MAX) > 0
    assert world.read("claim.events") == world.read(DEAD_LETTERS) == []
    assert decided(world, "claim.commands") == 0
    world.spawn("claims")
    world.outcomes("claim", 50)
    assert world.faults() == []


def test_nobody_changes_a_seal_and_nothing_goes_out_without_one(world: World) -> None:
    world.connection.execute(
        """INSERT INTO books.seal (topic, partition, kind, first_offset, next_offset, events, dead_letters,
        events_sha256, event_checks) VALUES ('claim.commands', 0, 'batch', 0, 5, 0, 0, sha256(''), '')"""
    )
    refused = (psycopg.errors.InsufficientPrivilege,)
    for role in (None, "voucher_ledger_writer", "voucher_ledger_operator"):
        with postgres.connect(world.settings.postgres, application="test", role=role) as connection:
            for statement in (
                "UPDATE books.seal SET events = 1", "DELETE FROM books.seal", "TRUNCATE books.seal",
                # As a processor of a version before seals.
                "INSERT INTO books.outbox VALUES ('claim.commands', 0, 0, 6, '')",
            ):  # fmt: skip
                with pytest.raises(refused):
                    connection.execute(statement.encode())
            if role is not None:
                with pytest.raises(refused):  # its place in the chain is for Postgres to say
                    connection.execute(
                        """INSERT INTO books.seal (topic, partition, number, kind, first_offset, next_offset, events,
                        dead_letters, events_sha256, event_checks)
                        VALUES ('claim.commands', 0, 7, 'batch', 5, 6, 0, 0, sha256(''), '')"""
                    )
            connection.execute("INSERT INTO books.outbox VALUES ('claim.commands', 0, 0, 5, '')")
            world.connection.execute("DELETE FROM books.outbox")

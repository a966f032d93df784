"""The sessions of `replay what-if` on a real database."""

import pytest

from tests.integration.world import World
from voucher_ledger.replay.what_if import sandbox
from voucher_ledger.replay.what_if.played import ClaimPlaces
from voucher_ledger.replay.what_if.side import Side

pytestmark = pytest.mark.integration


def test_no_session_of_a_sandbox_ends_however_long_nothing_is_asked_of_it(world: World) -> None:
    """Commands of campaigns that are not played may take hours to read, and no sweep comes meanwhile."""
    claim_places = ClaimPlaces([], set())
    with sandbox.sandboxes(world.settings.postgres) as made:
        side = Side(world.settings, made.make("baseline"), {}, {}, claim_places, {}, None)
        held = [made._connection, side.connection, side._time_driven._store._connection]
        timeouts = [connection.execute("SHOW idle_session_timeout").fetchone() for connection in held]
        side.close()
    assert timeouts == [("0",)] * 3

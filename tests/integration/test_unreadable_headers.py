"""A header whose name is not UTF-8 on the topics of answers: the proofs name its record, and nothing crashes."""

import pytest

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import claim
from tests.integration.raw_producer import produce_with_header_name
from tests.integration.reading import DEAD_LETTERS
from tests.integration.replay_days import new_database, stop_all
from tests.integration.tools import Tool
from tests.integration.world import World
from voucher_ledger.replay.dead_letters.letters import UNREADABLE

pytestmark = pytest.mark.integration

NAME = b"name \xff\xfe"
UNKNOWN = "does not say which record it holds"


@pytest.mark.timeout(10 * WAIT_SECONDS_MAX)
def test_a_header_that_can_not_be_read_is_named_by_every_proof(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = Tool(world, monkeypatch, capsys)
    world.open_campaign()
    # Enough that Python has specialised the call of `headers()` when the broken ones come.
    world.send("claim.commands", [claim(number) for number in range(50)], partition=3)
    world.spawn("claims")
    world.wait_answered("claim.commands", 50)
    stop_all(world)
    assert "as sealed" in tool.run("verify", "--seals")
    event = world.read("claim.events")[0]
    produce_with_header_name(world, "claim.events", NAME, event.key() or b"", event.value() or b"")
    produce_with_header_name(world, DEAD_LETTERS, NAME, b"u", b"rubbish")

    assert UNKNOWN in tool.run("verify", code=1)
    told = tool.json("verify", "--seals", code=1)
    assert told["faults"]["added"]["count"] == 2, told["faults"]
    assert any("no dead letter that says which record it holds" in text for text in told["faults"]["added"]["shown"])
    assert UNKNOWN in tool.run("rebuild", "--into", new_database(world), code=1)
    assert UNREADABLE in str(tool.json("dead-letters", "list"))
    left = tool.json("dead-letters", "redrive", "--apply", "--reason", "a drill", code=None)
    assert (left["redriven"], sum(left["left"].values())) == (0, 1)

"""What an operator asks at midnight: how a campaign stands, whether a command was taken, who waits."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.integration.commands import FACE_MINOR, campaign_open, claim, envelope
from tests.integration.world import World
from voucher_ledger import cli
from voucher_ledger.monitor.ledger import READER_ROLE
from voucher_ledger.produce import command as produce_command
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.status import campaigns as status_campaigns
from voucher_ledger.status import command as status_command
from voucher_ledger.status.read import Reader

pytestmark = pytest.mark.integration


def status(world: World, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert status_command.run(world.settings, json=True) == ExitCode.DONE
    shown: dict[str, Any] = orjson.loads(capsys.readouterr().out)
    return shown


def test_status_tells_how_each_campaign_stands(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    release = [
        {"at": "2020-01-01T00:00:00Z", "quota": 3},
        {"at": soon, "quota": 30},
        {"at": "2099-01-01T00:00:00Z", "quota": 7},
    ]
    world.open_campaign("grey", quota=40, budget_minor=40 * FACE_MINOR, release=release, when_empty="queue")
    world.open_campaign("poor", quota=40, budget_minor=2 * FACE_MINOR, ends_at="2090-01-01T00:00:00Z")
    world.open_campaign("past", starts_at="2020-01-01T00:00:00Z", ends_at="2021-01-01T00:00:00Z")
    world.send("claim.commands", [claim(number) for number in range(5)], partition=0)
    world.stop_cleanly(world.spawn("claims", instance="claims-0"), "claim", 5)

    shown = status(world, capsys)
    grey, poor, past = shown["campaigns"]
    assert shown["campaigns_more"] == 0
    since = grey.pop("waiting_since")
    assert since is not None
    assert grey == {
        "campaign_id": "grey",
        "state": "open",
        "quota": 40,
        "granted": 3,
        "claimable": 0,
        "next_tranche": {"at": f"{soon[:-1]}.000Z", "quota": 30},
        "waiting": 2,
        "ends_at": "2100-01-01T00:00:00.000Z",
    }
    assert (poor["campaign_id"], poor["claimable"], poor["waiting"]) == ("poor", 2, 0)
    assert (past["campaign_id"], past["quota"], past["claimable"]) == ("past", 1_000, 0)

    monkeypatch.setattr(status_campaigns, "CAMPAIGNS_MAX", 1)
    bounded = status(world, capsys)
    assert [campaign["campaign_id"] for campaign in bounded["campaigns"]] == ["grey"]
    assert bounded["campaigns_more"] == 2


def ndjson(directory: Path, *commands: dict[str, Any]) -> Path:
    source = directory / "commands.ndjson"
    source.write_bytes(b"".join(orjson.dumps(command) + b"\n" for command in commands))
    return source


def pause(campaign_id: str, command_id: str) -> dict[str, Any]:
    data = {"campaign_id": campaign_id, "approved_by": "me", "reason": "checking"}
    return envelope("campaign.pause", command_id, data)


def test_produce_tells_that_a_command_was_refused(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A campaign's id with a typo: "1 commands delivered", exit code 0, and nothing was paused."""
    world.spawn("campaigns")
    good = ndjson(tmp_path, campaign_open("midnight"), pause("midnight", "p-1"))
    assert produce_command.run(world.settings, good, await_seconds=60.0) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "(id open-midnight): campaign.opened\n" in shown
    assert "(id p-1): campaign.paused\n" in shown
    assert "2 of 2 answered, 0 of them refused" in shown

    bad = ndjson(tmp_path, pause("midnight", "p-1"), pause("midnite", "p-2"))
    assert produce_command.run(world.settings, bad, await_seconds=60.0) == ExitCode.CHECK_FAILED
    told = capsys.readouterr()
    assert "(id p-1): campaign.paused, a duplicate" in told.out
    assert "(id p-2): campaign.rejected: unknown_campaign" in told.out
    assert "1 refused" in told.err


def test_produce_names_what_was_not_answered_in_time(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = ndjson(tmp_path, pause("midnight", "p-1"))
    assert produce_command.run(world.settings, source, await_seconds=0.1) == ExitCode.CHECK_FAILED
    told = capsys.readouterr()
    assert "1 command delivered" in told.out
    assert "0 of 1 answered" in told.out
    assert "not answered: campaign.commands/" in told.err
    assert "1 not answered within 0.1 s" in told.err


def test_the_trace_of_a_user_who_waits_tells_where(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """He has no voucher and no order, so that nothing at all was known of him."""
    world.open_campaign(quota=1, budget_minor=FACE_MINOR, when_empty="queue")
    world.send("claim.commands", [claim(number) for number in range(3)], partition=5)
    world.stop_cleanly(world.spawn("claims", instance="claims-0"), "claim", 3)
    for name, value in world.variables().items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()

    assert cli.main(["replay", "trace", "user-000002", "--json"]) == ExitCode.DONE
    told = orjson.loads(capsys.readouterr().out)
    (place,) = told["waiting"]
    assert (told["kind"], place["campaign_id"], place["partition"], place["queue_position"]) == ("user", "grey", 5, 2)
    assert place["queued_at"]
    assert cli.main(["replay", "trace", "user-000002", "--scan"]) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "waiting now" in shown
    assert "event voucher.queued" in shown
    assert "--scan looks there" not in shown
    assert cli.main(["replay", "trace", "user-000000", "--json"]) == ExitCode.DONE
    assert orjson.loads(capsys.readouterr().out)["waiting"] == []


def test_the_trace_of_a_user_who_was_only_refused(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was no such user, as the ledger has it; but he asks what became of his claim."""
    world.open_campaign(quota=1, budget_minor=FACE_MINOR)
    world.send("claim.commands", [claim(number) for number in range(2)], partition=5)
    world.stop_cleanly(world.spawn("claims", instance="claims-0"), "claim", 2)
    for name, value in world.variables().items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()

    assert cli.main(["replay", "trace", "user-000001"]) == ExitCode.CHECK_FAILED
    told = capsys.readouterr().err
    assert "no voucher, order or user 'user-000001'" in told
    assert "--scan looks there" in told
    assert cli.main(["replay", "trace", "user-000001", "--scan", "--json"]) == ExitCode.DONE
    found = orjson.loads(capsys.readouterr().out)
    (step,) = found["steps"]
    assert (found["kind"], step["event"]["type"], step["event"]["data"]["reason"]) == (
        "user", "voucher.rejected", "sold_out",
    )  # fmt: skip
    assert cli.main(["replay", "trace", "nobody", "--scan"]) == ExitCode.CHECK_FAILED
    assert "neither the ledger nor an event that the topics still hold names 'nobody'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["claims-0", f"claims-{'x' * 100}"])
def test_status_tells_a_holder_that_lives_from_one_that_is_gone(world: World, name: str) -> None:
    """Also to a role that may see nothing but the ledger's views."""
    reader = Reader(world.settings, application="test", role=READER_ROLE)

    def holders() -> set[tuple[str | None, bool]]:
        snapshot = reader.snapshot()
        return {(part.instance, part.instance_lives) for part in snapshot.partitions if part.topic == "claim.commands"}

    try:
        assert holders() == {(None, False)}
        world.send("claim.commands", [claim(number) for number in range(100)])
        process = world.spawn("claims", instance=name)
        world.outcomes("claim", 100)
        assert holders() == {(name, True)}
        world.stop_cleanly(process, "claim", 100)
        assert holders() == {(name, False)}
    finally:
        reader.close()

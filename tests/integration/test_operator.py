"""What an operator asks at midnight: how a campaign stands, whether a command was taken, who waits."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from tests.integration.commands import FACE_MINOR, claim
from tests.integration.world import World
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.status import campaigns as status_campaigns
from voucher_ledger.status import command as status_command

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

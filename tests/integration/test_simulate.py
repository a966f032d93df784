"""`simulate` on the real broker and database, with real processors."""

import threading
from typing import Any

import orjson
import pytest

from tests.integration.broker import reset_broker
from tests.integration.world import World
from voucher_ledger import sweeper
from voucher_ledger.produce.clients import known_topics
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import topics
from voucher_ledger.simulate import command as simulate_command
from voucher_ledger.simulate import play as play_module
from voucher_ledger.simulate.play import play
from voucher_ledger.simulate.scenario import Scenario
from voucher_ledger.simulate.tally import Tally
from voucher_ledger.status import command as status_command

pytestmark = pytest.mark.integration

ROOMS = ("campaigns", "claims", "orders", "payments")


def make_topics_with_create_time(world: World) -> None:
    # What the broker does not show yet would be taken for absent, and stay as it is.
    known_topics(world.producer, world.settings.kafka, topics.wanted_topics())
    reset_broker(world.settings)
    topics.ensure_topics(world.settings, record_time="CreateTime")


def status(world: World, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert status_command.run(world.settings, json=True) == ExitCode.DONE
    shown: dict[str, Any] = orjson.loads(capsys.readouterr().out)
    return shown


def scenario(**change: Any) -> Scenario:
    return Scenario(**{"begin_ms": 1_770_307_200_000, "claims": 2_000, "cards": 200, "rubbish_every": 25} | change)


def test_a_small_day_is_played_to_its_end(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    for room in ROOMS:
        world.spawn(room)
    options: dict[str, Any] = {"claims": 4_000, "cards": 300, "seed": 5, "campaign_id": "day", "hold_ttl_s": 600}
    assert simulate_command.run(world.settings, **options) == ExitCode.DONE
    shown = capsys.readouterr()
    assert "sold_out" in shown.out
    assert "done: " in shown.err
    assert world.faults() == []
    known = status(world, capsys)
    assert (known["lag_records"], known["dead_letters"]) == (0, 20)
    granted = world.connection.execute("SELECT count(*) FROM ledger.voucher WHERE campaign_id = 'day'").fetchone()
    assert granted == (300,)
    assert {part["unpublished_records"] for part in known["partitions"]} == {0}
    sums: dict[tuple[str, str], int] = {}
    for row in known["balances"]:
        sums[row["campaign_id"], row["unit"]] = sums.get((row["campaign_id"], row["unit"]), 0) + row["balance"]
    assert set(sums.values()) == {0}
    assert simulate_command.run(world.settings, **options) == ExitCode.CHECK_FAILED
    assert "campaign day could not be opened" in capsys.readouterr().err


def test_a_day_ends_when_no_voucher_is_open_any_more(world: World) -> None:
    stop = threading.Event()
    for room in ROOMS:
        world.spawn(room)
    sweeping = threading.Thread(target=sweeper.run, args=(world.settings, stop))
    sweeping.start()
    try:
        options: dict[str, Any] = {
            "claims": 500,
            "cards": 40,
            "campaign_id": "short",
            "voucher_ttl_s": 3,
            "hold_ttl_s": 1,
        }
        assert simulate_command.run(world.settings, await_expiries=True, **options) == ExitCode.DONE
    finally:
        stop.set()
        sweeping.join(30)
    left = world.connection.execute(
        "SELECT count(*) FROM ledger.voucher WHERE campaign_id = 'short' AND state IN ('granted', 'held')"
    ).fetchone()
    assert left == (0,)
    assert world.balances("short")["granted", "VOUCHER"] == 0


def test_a_play_without_processors_says_so(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play_module, "STALL_SECONDS_MAX", 0.3)
    assert simulate_command.run(world.settings, claims=10) == ExitCode.CHECK_FAILED
    assert "12 commands unanswered" in capsys.readouterr().err


def test_a_play_can_be_stopped_and_gives_what_there_is(world: World) -> None:
    stop = threading.Event()
    seen: list[str] = []

    def stop_at_once(tally: Tally) -> None:
        seen.append(tally.phase)
        stop.set()

    tally = play(world.settings, scenario(), 1, stop_at_once, stop)
    assert (seen, tally.sent) == (["opening", "stopped"], {"campaign.commands": 12})


def test_a_day_in_the_past_is_played_with_its_own_times(world: World) -> None:
    make_topics_with_create_time(world)
    for room in ROOMS:
        world.spawn(room)
    tally = play(world.settings, scenario(record_times=True), 1, lambda _tally: None, threading.Event())
    assert (tally.granted, tally.unanswered, tally.undelivered) == (200, 0, 0), tally
    times = [record.timestamp()[1] for record in world.read("claim.commands")]
    assert min(times) >= 1_770_307_200_000
    assert max(times) <= 1_770_307_200_000 + 7 * 3_600_000


def test_wrong_figures_of_a_play_are_usage(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate_command.run(world.settings, cards=0) == ExitCode.USAGE
    assert simulate_command.run(world.settings, rate=-1.0) == ExitCode.USAGE
    assert "must be at least 1" in capsys.readouterr().err

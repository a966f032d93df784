"""`voucher-ledger replay what-if` on a real broker and database: unchanged it is what was recorded, changed it is what
the rules say, asked twice it is the same, and nothing live is touched.
"""

import os
import subprocess
import sys
from typing import Any

import orjson
import psycopg
import pytest

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.tools import CHILD, Tool
from tests.integration.waits import wait_outbox_empty
from tests.integration.what_if_day import BEGINS, DAY, ROOMS, ledger_of, offsets_of, play, sandboxes_of
from tests.integration.world import COMMAND_TOPICS, World
from voucher_ledger.replay.what_if import sandbox
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.simulate import command as simulate_command

pytestmark = pytest.mark.integration

DOUBLED = "day.quota=40"


@pytest.fixture
def tool(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tool:
    return Tool(world, monkeypatch, capsys)


def leaves(figures: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, dict):
            found.update(leaves(value, f"{prefix}{name}."))
        else:
            found[prefix + name] = value
    return found


def asked(tool: Tool, *arguments: str, campaign: str = "day") -> dict[str, dict[str, Any]]:
    """The flat figures of a campaign by side."""
    told = tool.json("what-if", *arguments)
    assert told["audits_failed"] == []
    return {side: leaves(figures) for side, figures in told["campaigns"][campaign].items()}


@pytest.mark.timeout(900)
def test_a_day_is_decided_again_as_it_was_and_under_other_rules(world: World, tool: Tool) -> None:
    play(world)
    before = (ledger_of(world), offsets_of(world))
    assert set(before[1]), "no group has offsets: nothing could be touched"
    _unchanged_it_is_what_was_recorded(tool)
    _a_doubled_quota_grants_more(tool)
    _a_smaller_quota_refuses_orders(tool)
    _tranches_move_when_it_is_sold_out(tool)
    _a_waiting_room_gives_what_comes_back(tool)
    _orders_find_the_voucher_that_stands_in(tool)
    _another_face_value_is_another_price(tool)
    _a_part_of_the_day(tool)
    _rules_that_can_not_be_are_refused(tool)
    _the_same_question_has_the_same_bytes(world)
    assert (ledger_of(world), offsets_of(world)) == before
    assert sandboxes_of(world) == []
    _killed_it_leaves_what_the_next_run_removes(world, tool)
    _kept_it_answers_sql(world, tool)
    assert (ledger_of(world), offsets_of(world)) == before


def _unchanged_it_is_what_was_recorded(tool: Tool) -> None:
    told = tool.json("what-if")
    assert told["recorded_and_baseline_differ"] == {}
    assert told["self_check"]
    figures = leaves(told["campaigns"]["day"]["recorded"])
    assert {name: figures.get(name) for name in DAY} == DAY
    assert (figures["by_category.film.orders"], figures["by_category.film.spend_minor"]) == (5, 2_500)
    assert (figures["by_category.tea.orders"], figures["by_category.tea.spend_minor"]) == (3, 5_000)
    assert (figures["by_city_tier.1.granted"], figures["by_city_tier.none.orders"]) == (8, 3)
    assert figures["sold_out_at"] == "2026-02-06T00:00:20.000Z"
    line = leaves(told["campaigns"]["line"]["baseline"])
    assert (line["granted"], line["queued"], line["orders"]) == (4, 2, 1)
    # The sweeper's commands are made anew, the vouchers of those who waited have other names, and are found.
    assert told["time_driven_made_anew"] == {"order.expire": 4, "voucher.admit": 2, "voucher.expire": 17}
    assert told["unanswered"] == 0
    assert "every count is as it was recorded" in tool.run("what-if", "--campaign", "day")


def _a_doubled_quota_grants_more(tool: Tool) -> None:
    told = tool.json("what-if", "--set", DOUBLED)
    sides = {side: leaves(figures) for side, figures in told["campaigns"]["day"].items()}
    assert list(told["campaigns"]) == ["day"], "the other campaigns' rules are what they were"
    assert {name: sides["baseline"].get(name) for name in DAY} == DAY
    assert (sides["changed"]["granted"], sides["changed"].get("claims_refused.sold_out")) == (35, None)
    assert (sides["changed"]["sold_out_at"], told["vouchers_gained"], told["vouchers_lost"]) == (None, {"day": 10}, {})
    assert sides["changed"]["spend_minor"] == DAY["spend_minor"], "who was refused has ordered nothing"
    shown = tool.run("what-if", "--set", DOUBLED)
    assert "day: 10 vouchers go to users who had none that day" in shown
    assert "25,000 more" in shown


def _a_smaller_quota_refuses_orders(tool: Tool) -> None:
    told = tool.json("what-if", "--set", "day.quota=10")
    changed = leaves(told["campaigns"]["day"]["changed"])
    # User 15 has no voucher now, so neither order nor payment: that is told.
    assert (changed["granted"], changed["orders_refused.unknown_voucher"], changed["settled"]) == (15, 1, 3)
    assert changed["payments_refused.unknown_order"] == 1
    assert any("1 orders name a voucher that is not granted" in note for note in told["notes"])
    assert told["vouchers_lost"] == {"day": 10}


def _tranches_move_when_it_is_sold_out(tool: Tool) -> None:
    release = '[{"at": "2026-02-06T00:00:15Z", "quota": 10}]'
    sides = asked(tool, "--set", f"day.release={release}")
    assert sides["baseline"]["sold_out_at"] == "2026-02-06T00:00:20.000Z"
    assert sides["changed"]["sold_out_at"] == "2026-02-06T00:00:25.000Z"
    assert sides["changed"]["found_nothing_at"] == "2026-02-06T00:00:10.000Z"
    assert (sides["changed"]["granted"], sides["changed"]["claims_refused.not_released"]) == (25, 5)


def _a_waiting_room_gives_what_comes_back(tool: Tool) -> None:
    """Nobody of that day was admitted: it is the sweeper's code that sees their turns come, an hour later."""
    changed = asked(tool, "--set", "day.when_empty=queue")["changed"]
    # 20, and of the 17 that expire from 3,600 s on ten go to those who wait; five came anew.
    assert (changed["granted"], changed["queued"], changed.get("claims_refused.sold_out")) == (35, 10, None)
    assert changed["expired"] == DAY["expired"]


def _orders_find_the_voucher_that_stands_in(tool: Tool) -> None:
    told = tool.json("what-if", "--set", "line.quota=4")
    changed = leaves(told["campaigns"]["line"]["changed"])
    assert (changed["granted"], changed["queued"], changed["orders"], told["stand_ins"]) == (4, 0, 1, 1)
    assert changed.get("orders_refused.unknown_voucher") is None


def _another_face_value_is_another_price(tool: Tool) -> None:
    told = tool.json("what-if", "--set", "day.voucher.face_value_minor=2000")
    changed = leaves(told["campaigns"]["day"]["changed"])
    # The category's budget of 12,500 has room for the sixth film now, of six at 2,000.
    assert (changed["orders"], changed.get("orders_refused.category_budget_exhausted")) == (9, None)
    assert (changed["settled"], changed["refunded"], changed["payments_refused.amount_mismatch"]) == (4, 1, 1)
    assert (changed["spend_minor"], changed["paid_minor"]) == (3 * 2_000, 3 * 1_000)
    assert told["repriced"] == 5


def _a_part_of_the_day(tool: Tool) -> None:
    cut = asked(tool, "--campaign", "day", "--to", "2026-02-06T00:00:30Z")
    assert (cut["baseline"]["granted"], cut["recorded"]["granted"], cut["baseline"]["orders"]) == (20, 20, 0)
    event = next(e for e in _events(tool) if e["data"]["user_id"] == "user-000102")
    told = tool.json("what-if", "--campaign", "day", "--from", event["id"])
    assert told["bounds"] == {"from": "2026-02-06T01:08:22.000Z", "to": None}
    figures = leaves(told["campaigns"]["day"]["baseline"])
    assert (figures["granted"], told["campaigns"]["day"]["recorded"]["granted"]) == (3, 3)
    assert any("opened before" in note and "day" in note for note in told["notes"])
    refused = tool.run("what-if", "--from", "claim.commands/0/999999", code=ExitCode.CHECK_FAILED)
    assert "no record is there" in refused
    refused = tool.run("what-if", "--from", BEGINS, "--to", BEGINS, code=ExitCode.CHECK_FAILED)
    assert "is not before" in refused


def _events(tool: Tool) -> list[dict[str, Any]]:
    return [event for event in tool.world.outcomes("claim") if event["type"] == "voucher.granted"]


def _rules_that_can_not_be_are_refused(tool: Tool) -> None:
    operations = len(tool.outcomes())
    for rule, why in (
        ("day.quota=-1", "quota"),
        ("day.voucher.kind=gift", "kind"),
        ('day.release=[{"at": "2026-02-06T00:00:15Z", "quota": 21}]', "more than the quota"),
        ("day.speed=1", "is not of the form"),
    ):
        told = tool.run("what-if", "--set", rule, code=ExitCode.USAGE)
        assert why in " ".join(told.replace("│", " ").split()), rule
    assert "no campaign.open of night" in tool.run("what-if", "--set", "night.quota=1", code=ExitCode.CHECK_FAILED)
    refused = tool.run("what-if", "--set", DOUBLED, "--campaign", "line", code=ExitCode.CHECK_FAILED)
    assert "--campaign leaves it out" in refused
    assert len(tool.outcomes()) == operations, "what was refused at once is no operation"


def _in_a_process(world: World, seed: str, *arguments: str) -> bytes:
    """What it prints in a process of its own, whose sets and dictionaries have another order."""
    ended = subprocess.run(
        [sys.executable, str(CHILD), "-", "1", "replay", "what-if", "--json", *arguments],
        env={**os.environ, **world.variables(), "PYTHONHASHSEED": seed}, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=WAIT_SECONDS_MAX, check=False,
    )  # fmt: skip
    assert ended.returncode in (ExitCode.DONE, ExitCode.CHECK_FAILED), ended.stderr
    return ended.stdout


def _the_same_question_has_the_same_bytes(world: World) -> None:
    question = ("--set", "day.when_empty=queue", "--set", "day.quota=12", "--campaign", "day", "--campaign", "line")
    one, other = (_in_a_process(world, seed, *question) for seed in ("1", "2"))
    assert one == other
    assert orjson.loads(one)["campaigns"]["day"]["changed"]["granted"] > 12


def _killed_it_leaves_what_the_next_run_removes(world: World, tool: Tool) -> None:
    tool.kill_in("before_commit", 20, "what-if", "--set", DOUBLED, "--reason", "was the quota too small?")
    left = sandboxes_of(world)
    assert len(left) == 2, "nothing was left: it was not killed in the midst"
    # Beside a run that lives its sandboxes stay: only those whose run is gone are removed.
    with sandbox.sandboxes(world.settings.postgres) as living:
        dsn = living.make("baseline")
        told = tool.run("what-if", "--set", DOUBLED)
        assert f"removed what a killed run had left: {', '.join(left)}" in told
        assert [str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])] == sandboxes_of(world)
    assert sandboxes_of(world) == []
    assert tool.outcomes()[-2:] == ["what-if: not ended", "what-if: done"]
    reasons = world.connection.execute("SELECT reason, result FROM ledger.operation ORDER BY started_at").fetchall()
    assert reasons[-2][0] == "was the quota too small?"
    assert reasons[-1][1]["granted"] == {"recorded": 25, "baseline": 25, "changed": 35}


def _kept_it_answers_sql(world: World, tool: Tool) -> None:
    told = tool.run("what-if", "--set", DOUBLED, "--keep")
    names = sandboxes_of(world)
    assert f"kept: {', '.join(names)}" in told
    assert "nothing was played" in tool.run("what-if", "--campaign", "other", "--to", BEGINS, code=1)
    assert sandboxes_of(world) == names, "a kept sandbox was removed"
    changed = next(name for name in names if name.endswith("_changed"))
    dsn = psycopg.conninfo.make_conninfo(world.settings.postgres, dbname=changed)
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT count(*) FROM ledger.voucher WHERE campaign_id = 'day'").fetchone()
    assert row == (35,)
    for name in names:
        world.connection.execute(f'DROP DATABASE "{name}"'.encode())


@pytest.mark.timeout(600)
def test_a_simulated_day_grants_as_many_again_and_more_with_more_cards(world: World, tool: Tool) -> None:
    for room in ROOMS:
        world.spawn(room)
    options: dict[str, Any] = {"claims": 2_000, "cards": 250, "seed": 5, "campaign_id": "day", "hold_ttl_s": 600}
    assert simulate_command.run(world.settings, **options, voucher_ttl_s=3_600) == ExitCode.DONE
    for topic in COMMAND_TOPICS:  # rubbish too, of which the play awaits nothing
        world.wait_answered(topic, len(world.read(topic)))
    wait_outbox_empty(world)
    before = (ledger_of(world), offsets_of(world))
    told = tool.json("what-if", "--set", "day.quota=445", "--set", "day.budget_minor=1112500")  # and the top-up of 25
    sides = told["campaigns"]["day"]
    # Who came first differs between eight partitions and one order of time; how many cards there were does not.
    assert sides["recorded"]["granted"] == sides["baseline"]["granted"] == 250
    assert sides["changed"]["granted"] == 470
    assert told["undecidable"] == 10
    assert told["audits_failed"] == []
    assert told == tool.json("what-if", "--set", "day.quota=445", "--set", "day.budget_minor=1112500")
    assert (ledger_of(world), offsets_of(world)) == before, "beside live processors, nothing live was touched"

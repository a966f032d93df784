"""The pure parts of `replay what-if`: the cut into batches, what belongs to the play, what is counted and compared."""

from collections import Counter
from contextlib import nullcontext
from io import StringIO
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.unit.what_if_given import claim, open_command, order, payment
from voucher_ledger.core.records import Command
from voucher_ledger.replay.bounds import UNBOUNDED
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.reading import Span
from voucher_ledger.replay.what_if import command as what_if
from voucher_ledger.replay.what_if import notes
from voucher_ledger.replay.what_if.commands_read import refuse_nothing_played
from voucher_ledger.replay.what_if.cutting import BATCH_RECORDS_MAX, GRID_MS, Window, grid_ceiling, grid_floor, windows
from voucher_ledger.replay.what_if.id_set import IdSet
from voucher_ledger.replay.what_if.moment import Moment, moment
from voucher_ledger.replay.what_if.played import Belonging, ClaimPlaces, Played
from voucher_ledger.replay.what_if.render import show
from voucher_ledger.replay.what_if.report import BASELINE, CHANGED, RECORDED, Report
from voucher_ledger.replay.what_if.sandbox import is_sandbox
from voucher_ledger.replay.what_if.tally import Figures, Share, Tally
from voucher_ledger.runtime.errors import SessionLost, Unreachable
from voucher_ledger.runtime.settings import Settings


def cut(*commands: tuple[int, str, Command]) -> list[Window]:
    return list(windows(commands))


def test_each_room_decides_its_part_of_half_a_second_at_once() -> None:
    found = cut(
        (1_001, "payments", payment("u1")), (1_002, "claims", claim("u2")), (1_400, "orders", order("u2", "v0-1")),
        (1_499, "claims", claim("u3")), (1_500, "claims", claim("u4")),
    )  # fmt: skip
    assert [(window.at_ms, {room: len(part) for room, part in window.batches.items()}) for window in found] == [
        (1_000, {"payments": 1, "claims": 2, "orders": 1}),
        (1_500, {"claims": 1}),
    ]


def test_nothing_of_one_user_is_turned_round() -> None:
    settled_then_ordered = cut((0, "payments", payment("u1")), (1, "orders", order("u1", "v0-1")))
    assert [list(window.batches) for window in settled_then_ordered] == [["payments"], ["orders"]]
    settled_then_refunded = cut((0, "payments", payment("u1")), (1, "payments", payment("u1")))
    assert len(settled_then_refunded) == 2
    assert len(cut((0, "payments", payment("u1")), (1, "orders", order("u2", "v0-1")))) == 1


def test_rules_change_between_batches_only() -> None:
    found = cut((0, "claims", claim("u1")), (1, "campaigns", open_command()), (2, "claims", claim("u2")))
    assert [list(window.batches) for window in found] == [["claims"], ["campaigns"], ["claims"]]


def test_a_batch_is_bounded() -> None:
    found = cut(*((7, "claims", claim(f"u{number}")) for number in range(BATCH_RECORDS_MAX + 1)))
    assert [len(window.batches["claims"]) for window in found] == [BATCH_RECORDS_MAX, 1]


@given(st.integers(0, 10**13))
def test_the_grid_is_around_each_moment(time_ms: int) -> None:
    assert grid_floor(time_ms) <= time_ms <= grid_ceiling(time_ms) <= grid_floor(time_ms) + GRID_MS
    assert grid_floor(time_ms) % GRID_MS == grid_ceiling(time_ms) % GRID_MS == 0


def belonging(*chosen: str, whole: bool = True) -> Belonging:
    places = ClaimPlaces([Span("claim.commands", 0, 10, 20)], {"grey", "night"})
    return Belonging(places, frozenset(chosen), whole=whole)


def test_all_belongs_where_nothing_is_left_out() -> None:
    of_all = belonging()
    assert of_all.has(claim("u1", offset=10))
    assert of_all.has(order("u1", "nobody's"))
    assert of_all.has(payment("u1"))
    assert of_all.left_out == 0


def test_an_order_belongs_by_its_vouchers_claim_and_a_payment_by_its_order() -> None:
    of_grey = belonging("grey")
    assert [of_grey.has(claim("u1", offset=10)), of_grey.has(claim("u2", "night", offset=11))] == [True, False]
    assert of_grey.has(order("u1", "v0-10", "ours"))
    assert not of_grey.has(order("u2", "v0-11", "theirs"))
    assert not of_grey.has(order("u2", "v0-9", "older"))
    assert not of_grey.has(order("u2", "v1-10", "elsewhere"))
    assert not of_grey.has(order("u2", "nobody's", "nonsense"))
    assert [of_grey.has(payment("u1", "ours")), of_grey.has(payment("u2", "theirs"))] == [True, False]
    assert of_grey.left_out == 5


def test_in_a_part_of_the_day_orders_of_earlier_vouchers_are_left_out() -> None:
    of_part = belonging(whole=False)
    assert of_part.has(claim("u1", offset=10))
    assert [of_part.has(order("u1", "v0-10", "a")), of_part.has(order("u1", "v0-3", "b"))] == [True, False]


def test_played_commands_are_known_by_their_places() -> None:
    played = Played([Span("order.commands", 2, 100, 110)])
    played.add("order.commands", Command("order.reserve", "r", {}, 2, 100))
    assert [played.has("order.commands", 2, offset) for offset in (99, 100, 101, 110)] == [False, True, False, False]
    assert not played.has("order.commands", 1, 100)
    assert played.count == 1


def test_a_moment_is_a_time_or_a_place() -> None:
    assert moment("1970-01-01T00:00:01Z") == Moment(time_ms=1_000)
    assert moment("claim.commands/3/12") == moment("claim.commands/3/12/0") == Moment(place=("claim.commands", 3, 12))
    for text in ("1200", "soon", "claim.events/3/12", "claim.commands/3"):
        with pytest.raises(ValueError, match="neither a time"):
            moment(text)


def report(baseline: Figures, changed: Figures | None = None, recorded: Figures | None = None) -> Report:
    sides = {RECORDED: {"grey": recorded or Figures(granted=2)}, BASELINE: {"grey": baseline}}
    if changed is not None:
        sides[CHANGED] = {"grey": changed}
    return Report(sides, {} if changed is None else {"grey": {"quota": 3}})


def test_a_self_check_compares_counts_and_no_moments() -> None:
    assert report(Figures(granted=2, granted_last_ms=7)).passed
    unequal = report(Figures(granted=3, by_category={"tea": Share(orders=1)}))
    assert unequal.differing == {"grey": {"granted": (2, 3), "by_category.tea.orders": (0, 1)}}
    assert not unequal.passed
    assert report(Figures(granted=3), Figures(granted=4)).passed, "with changed rules it is no check"
    failed = report(Figures(granted=2))
    failed.audits_failed = ["baseline: loss: 1 row"]
    assert not failed.passed


def test_the_document_has_its_keys_in_order_and_nothing_of_the_run() -> None:
    document = report(Figures(granted=2), Figures(granted=3, sold_out_ms=1_000)).to_json()
    told = orjson.loads(document)
    assert list(told) == sorted(told)
    assert told["campaigns"]["grey"]["changed"]["sold_out_at"] == "1970-01-01T00:00:01.000Z"
    assert document == report(Figures(granted=2), Figures(granted=3, sold_out_ms=1_000)).to_json()


def test_a_table_shows_what_occurs_and_the_difference() -> None:
    printed = StringIO()
    baseline = Figures(granted=2, by_category={"tea.milk": Share(orders=4)}, sold_out_ms=0)
    baseline.claims_refused["sold_out"] = 9
    show(report(baseline, Figures(granted=5)), Console(file=printed, width=120))
    lines = [" ".join(line.split()) for line in printed.getvalue().splitlines()]
    assert "│ vouchers granted │ 2 │ 2 │ 5 │ +3 │" in lines
    assert "│ claim refused: sold_out │ 0 │ 9 │ 0 │ ~ -9 │" in lines
    assert "│ category tea.milk: orders reserved │ 0 │ 4 │ 0 │ ~ -4 │" in lines
    assert "│ sold out │ - │ 1970-01-01 00:00:00.000 │ - │ │" in lines
    assert not any("waiting" in line or "queued" in line for line in lines)
    assert any("2 counts differ" in line for line in lines), lines


def test_a_row_whose_replay_is_inexact_is_marked_and_says_how_far_its_difference_holds() -> None:
    """Else what the replay lost at the sell-out reads as what the changed rules bring."""
    recorded = Figures(granted=1_000, orders=1_713, settled=50, spend_minor=2_363_186)
    baseline = Figures(granted=1_000, orders=1_602, settled=48, spend_minor=2_361_186)
    changed = Figures(granted=1_400, orders=1_713, settled=48, spend_minor=2_509_526)
    told = report(baseline, changed, recorded)
    printed = StringIO()
    show(told, Console(file=printed, width=160))
    lines = [" ".join(line.split()) for line in printed.getvalue().splitlines()]
    assert "│ vouchers granted │ 1,000 │ 1,000 │ 1,400 │ +400 │" in lines
    assert "│ orders reserved │ 1,713 │ 1,602 │ 1,713 │ ~ +111 │" in lines
    assert "│ payments settled │ 50 │ 48 │ 48 │ ~ │" in lines
    off = "the replay itself differs from the record by"
    not_told = "is not to be told from the replay's own inexactness"
    assert [line for line in lines if line.startswith("~")] == [
        f"~ orders reserved: {off} 111 in this row: the difference of +111 {not_told}",
        f"~ payments settled: {off} 2 in this row: that nothing differs holds to about that much",
        f"~ spend, minor units: {off} 2,000 in this row: the difference of +148,340 holds to about that much",
    ]
    assert orjson.loads(told.to_json())["differences"]["grey"] == {
        "granted": {"by_rules": 400, "by_replay": 0, "is_told": True},
        "orders": {"by_rules": 111, "by_replay": -111, "is_told": False},
        "settled": {"by_rules": 0, "by_replay": -2, "is_told": False},
        "spend_minor": {"by_rules": 148_340, "by_replay": -2_000, "is_told": True},
    }
    assert report(baseline, None, recorded).differences == {}, "a self check judges the replay itself"


def test_a_top_up_that_was_played_is_told_with_the_quota_that_it_makes() -> None:
    told = report(Figures(granted=2), Figures(granted=3))
    tally: Any = Tally(cast("Any", None), "told", None)
    tally.add("campaign.topped_up", 0, {"campaign_id": "grey", "quota": 200, "budget_minor": 500})
    tally.add("campaign.topped_up", 0, {"campaign_id": "grey", "quota": 9, "budget_minor": 9, "duplicate": True})
    tally.add("campaign.topped_up", 0, {"campaign_id": "night", "quota": 7, "budget_minor": 7})
    side: Any = SimpleNamespace(tally=tally, letters=Counter())
    (note,) = notes.of(told, [open_command()], UNBOUNDED, {BASELINE: side, CHANGED: side}, 0)
    assert note == (
        "grey: 1 campaign.top_up of 200 cards and 500 minor units was played as it was sent, so the quota is 203 and "
        "the budget 1,500"
    )


def test_a_play_of_nothing_is_refused_since_its_self_check_would_pass() -> None:
    nothing = "^nothing was played: no claim, order or payment of grey, night lies between --from and --to$"
    with pytest.raises(Refused, match=nothing):
        refuse_nothing_played({"campaign.open": 2, "campaign.top_up": 1, "voucher.claim": 0}, {"night", "grey"})
    refuse_nothing_played({"campaign.open": 2, "voucher.expire": 1}, {"grey"})


def test_only_a_sandbox_may_be_written_to() -> None:
    assert is_sandbox("host=h dbname=voucher_ledger_what_if_0a_1_changed")
    assert not is_sandbox("host=h dbname=ledger")
    assert not is_sandbox("host=h dbname=voucher_ledger_kept_0a_1_changed")


def test_ids_are_kept_on_disk_and_found_again() -> None:
    ids = IdSet()
    many = [f"order-{number}" for number in range(0, 3_000, 3)]
    for one in [*many, *many]:
        ids.add(one)
    assert [f"order-{number}" in ids for number in range(9)] == [number % 3 == 0 for number in range(9)]
    assert "Order-3" not in ids
    assert "" not in ids
    ids.close()


def test_a_session_that_is_lost_in_the_midst_is_a_server_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_arguments: object) -> None:
        raise SessionLost("Postgres: terminating connection due to idle-session timeout")

    made = SimpleNamespace(remove_leftovers=lambda: ([], []))
    monkeypatch.setattr(what_if, "_day", lambda *_: None)
    monkeypatch.setattr(what_if, "recorded", lambda *_: nullcontext(None))
    monkeypatch.setattr(what_if, "sandboxes", lambda _dsn: nullcontext(made))
    monkeypatch.setattr(what_if, "_play", lost)
    settings = Settings(kafka="nowhere", postgres="dbname=ledger")
    with pytest.raises(Unreachable, match=r"^Postgres: terminating"):
        what_if.run(settings, what_if.Request({}), reason=None, arguments={}, json=True)

"""A finished day as one picture, from the state that the page is made of: for a chat, or a slide."""

from typing import Any

from voucher_ledger.core.currency import money
from voucher_ledger.core.demand import DUPLICATE
from voucher_ledger.monitor.facts import Facts
from voucher_ledger.monitor.outlook import ANSWERED_BY_ROOM, REFUNDED, REFUSED_BY_ROOM, RESERVED
from voucher_ledger.report.picture.curves import draw_burn_down, draw_demand
from voucher_ledger.report.picture.fonts import one_line_at_most
from voucher_ledger.report.picture.rows import Frame, Row, bounded, draw_rows
from voucher_ledger.report.picture.sheet import (
    CARD,
    CRITICAL,
    GRANTED,
    INK,
    LINE,
    ORDERS,
    REFUSED,
    SOFT,
    WIDTH_PIXELS,
    Sheet,
)
from voucher_ledger.report.picture.words import TIMES, UNKNOWN, moment, one_line, percent, span, whole

_MARGIN, _GAP = 28, 16
_TILES_TOP, _TILE_HEIGHT = 104, 112
_CURVES_TOP, _CURVES_HEIGHT = 232, 500
_ROWS_TOP, _ROWS_HEIGHT = 748, 400
_FOOT = 1180
_ALERTS_NAMED_MAX = 3

Json = dict[str, Any]


def draw(state: Json) -> bytes:
    """A PNG of WIDTH_PIXELS by HEIGHT_PIXELS of `state["campaign"]`, state as the monitor's /state.json gives it.

    The same state and fonts give the same bytes. Characters that no font has are told in one line of the log.
    """
    with one_line_at_most():
        return _draw(state)


def _draw(state: Json) -> bytes:
    sheet, campaign = Sheet(), state["campaign"]
    _title(sheet, state)
    for number, tile in enumerate(_tiles(campaign)):
        frame = _column(number, 6, _TILES_TOP, _TILE_HEIGHT)
        _tile(sheet, frame, *tile)
    draw_demand(sheet, _column(0, 2, _CURVES_TOP, _CURVES_HEIGHT), campaign)
    draw_burn_down(sheet, _column(1, 2, _CURVES_TOP, _CURVES_HEIGHT), campaign)
    outcomes = bounded([Row(type_, count) for type_, count in campaign["outcomes"].items()])
    places = [_column(number, 4, _ROWS_TOP, _ROWS_HEIGHT) for number in range(4)]
    draw_rows(sheet, places[0], "Outcomes", ("count", ""), outcomes, colour=INK, nothing="no outcomes")
    _refusals(sheet, places[1], campaign)
    _verticals(sheet, places[2], state)
    _tiers(sheet, places[3], campaign)
    foot = (
        "All times are UTC. Against the day before: orders of the last whole hour, and of the same hour a day earlier."
    )
    sheet.text(_MARGIN, _FOOT, foot, pixels=15, colour=SOFT)
    return sheet.png()


def _title(sheet: Sheet, state: Json) -> None:
    campaign = state["campaign"]
    facts, alerts = campaign["facts"], state["alerts"]
    width = WIDTH_PIXELS - 2 * _MARGIN
    right = WIDTH_PIXELS - _MARGIN
    # A name may be blank; the id never is.
    name = one_line(campaign["name"] or "") or campaign["campaign_id"]
    sheet.text(_MARGIN, 54, name, pixels=36, bold=True, width_pixels=width - 420)
    told = "not in the ledger" if facts is None else f"{span(facts['starts_at'], facts['ends_at'])}, {facts['state']}"
    said = sheet.text(_MARGIN, 86, told, pixels=20, colour=SOFT)
    if campaign["name"]:
        x = _MARGIN + said + 24
        sheet.text(x, 86, campaign["campaign_id"], pixels=20, colour=SOFT, width_pixels=right - 440 - x)
    sheet.text(right, 54, f"as of {moment(campaign['as_of'], '%Y-%m-%d %H:%M:%S')} UTC", colour=SOFT, right=True)
    names = [one["alert"].replace("_", " ") for one in alerts]
    listed = ", ".join(dict.fromkeys(names[:_ALERTS_NAMED_MAX])) + (", …" if len(names) > _ALERTS_NAMED_MAX else "")
    firing = f"{len(names)} {'alert fires' if len(names) == 1 else 'alerts fire'}: {listed}"
    colour = CRITICAL if alerts else SOFT
    sheet.text(right, 86, firing if alerts else "no alert fires", colour=colour, right=True, width_pixels=420)


def _tiles(campaign: Json) -> list[tuple[str, str, str]]:
    """Name, figure and note of each key number."""
    outcomes = campaign["outcomes"]
    facts = None if campaign["facts"] is None else Facts(**campaign["facts"])
    answered = {room: sum(outcomes.get(type_, 0) for type_ in types) for room, types in ANSWERED_BY_ROOM.items()}
    refused = {room: outcomes.get(type_, 0) for room, type_ in REFUSED_BY_ROOM.items()}
    # As the report's page has it: who came too early is told apart.
    claims = next(one for one in campaign["day"]["refusals"] if one["room"] == "claims")
    early = f", {whole(claims['early'])} too early" if claims["early"] else ""
    cards, budget = (UNKNOWN, ""), (UNKNOWN, "")
    if facts is not None:
        cards = (
            whole(facts.cards_left),
            f"of {whole(facts.quota)}, plan {whole(facts.quota - campaign['planned_granted'])}",
        )
        budget = percent(facts.budget_used_share), f"{money(facts.budget_left_minor, facts.currency)} left"
    return [
        ("Claims", whole(answered["claims"]), f"{percent(claims['share'])} refused{early}"),
        (
            "Vouchers granted",
            whole(outcomes.get("voucher.granted", 0)),
            f"{whole(outcomes.get('voucher.expired', 0))} expired",
        ),
        ("Orders", whole(outcomes.get(RESERVED, 0)), f"{whole(refused['orders'])} refused"),
        ("Payments settled", whole(outcomes.get("payment.settled", 0)), f"{whole(outcomes.get(REFUNDED, 0))} refunded"),
        ("Cards left", *cards),
        ("Budget used", *budget),
    ]


def _tile(sheet: Sheet, frame: Frame, name: str, figure: str, note: str) -> None:
    sheet.box(*frame, colour=CARD, edge=LINE)
    width = frame.width - 32
    sheet.text(frame.x + 16, frame.y + 30, name, pixels=17, colour=SOFT, width_pixels=width)
    sheet.text(frame.x + 16, frame.y + 70, figure, pixels=34, bold=True, width_pixels=width)
    sheet.text(frame.x + 16, frame.y + 98, note, pixels=16, colour=SOFT, width_pixels=width)


def _refusals(sheet: Sheet, frame: Frame, campaign: Json) -> None:
    again = sum(one["total"] for one in campaign["reasons"] if one["reason"] == DUPLICATE)
    room = {type_: room for room, type_ in REFUSED_BY_ROOM.items()}
    found = [
        Row(f"{one['reason']} ({room.get(one['type'], 'campaigns')})", one["total"])
        for one in campaign["reasons"]
        if one["reason"] != DUPLICATE
    ]
    note = f"{whole(again)} came again, answered as before" if again else ""
    draw_rows(
        sheet, frame, "Refusals by reason", ("count", ""), bounded(found), colour=REFUSED,
        nothing="no refusals", note=note,
    )  # fmt: skip


def _verticals(sheet: Sheet, frame: Frame, state: Json) -> None:
    found = [Row(one["name"], one["orders"], _grown(one)) for one in state["campaign"]["categories"] if one["orders"]]
    users = state["crossing"].get("users") or {}
    ordering = sum(users.values())
    several = ordering - users.get("1", 0)
    note = f"{percent(several / ordering)} of {whole(ordering)} users ordered in several" if ordering else ""
    draw_rows(
        sheet, frame, "Verticals", ("orders", "day before"), bounded(found), colour=ORDERS,
        nothing="no orders", note=note,
    )  # fmt: skip


def _tiers(sheet: Sheet, frame: Frame, campaign: Json) -> None:
    found = [Row(f"tier {one['name']}", one["grants"], _grown(one)) for one in campaign["tiers"]]
    draw_rows(
        sheet, frame, "City tiers", ("cards", "day before"), bounded(found), colour=GRANTED,
        nothing="no cards, no orders",
    )  # fmt: skip


def _grown(one: Json) -> str:
    return UNKNOWN if one["growth"] is None else f"{one['growth']:.1f}{TIMES}"


def _column(number: int, columns: int, top: float, height: float) -> Frame:
    width = (WIDTH_PIXELS - 2 * _MARGIN - (columns - 1) * _GAP) / columns
    return Frame(_MARGIN + number * (width + _GAP), top, width, height)

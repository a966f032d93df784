"""The report's picture: what it holds, that it is the same twice, and what it never does to a name."""

import logging
import struct
import sys
import warnings
from typing import Any

import pytest
from matplotlib.text import Text
from structlog.testing import capture_logs

from tests.unit.demand_given import facts, row
from tests.unit.picture_given import busy_day, empty_day, state_of
from voucher_ledger.core.currency import money, short
from voucher_ledger.report.picture import curves, fonts, rows, sheet, words
from voucher_ledger.report.picture.draw import draw

SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float | None]]:
    """Each text that is drawn, as it was given, and the width that it may have."""
    found: list[tuple[str, float | None]] = []
    cut = sheet.Sheet.text

    def noted(self: sheet.Sheet, x: float, y: float, text: str, **changes: Any) -> float:
        found.append((text, changes.get("width_pixels")))
        return cut(self, x, y, text, **changes)

    monkeypatch.setattr(sheet.Sheet, "text", noted)
    return found


def chunks(png: bytes) -> dict[bytes, bytes]:
    found, at = {}, len(SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        found[png[at + 4 : at + 8]] = png[at + 8 : at + 8 + length]
        at += 12 + length
    return found


def test_it_is_a_picture_of_its_size_and_names_neither_time_nor_version() -> None:
    png = draw(busy_day())
    assert png.startswith(SIGNATURE)
    found = chunks(png)
    assert struct.unpack_from(">II", found[b"IHDR"]) == (1600, 1200)
    assert found.keys() == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}


def test_the_same_day_gives_the_same_bytes_and_another_gives_others() -> None:
    assert draw(busy_day()) == draw(busy_day())
    assert draw(busy_day()) != draw(busy_day(claims_a_minute=11))


def test_pyplot_is_not_loaded() -> None:
    draw(empty_day())
    assert "matplotlib.pyplot" not in sys.modules


def test_a_day_without_demand_says_so(written: list[tuple[str, float | None]]) -> None:
    draw(empty_day())
    said = {text for text, _ in written}
    assert {"no orders", "no claims and no orders", "no outcomes", "no refusals", "1,000", "Grey release"} <= said


def test_a_campaign_of_which_only_demand_is_known_is_drawn(written: list[tuple[str, float | None]]) -> None:
    draw(state_of(row(3), row(40, "voucher.rejected", 4, reason="sold_out"), facts=None, at=70))
    said = {text for text, _ in written}
    assert {"grey", "not in the ledger", "the campaign is not in the ledger", "sold_out (claims)"} <= said


def test_a_day_that_still_runs_shows_where_the_trend_goes(written: list[tuple[str, float | None]]) -> None:
    draw(state_of(*(row(60 * minute, count=3) for minute in range(60)), facts=facts(cards_left=820), at=3_600))
    assert "trend" in {text for text, _ in written}


def test_key_numbers_are_those_of_the_state(written: list[tuple[str, float | None]]) -> None:
    state = busy_day(1_500)
    outcomes = state["campaign"]["outcomes"]
    draw(state)
    said = [text for text, _ in written]
    claims = outcomes["voucher.granted"] + outcomes["voucher.rejected"]
    assert claims > 1_000_000
    for name, count in {
        "Claims": claims,
        "Orders": outcomes["order.reserved"],
        "Payments settled": outcomes["payment.settled"],
    }.items():
        assert said[said.index(name) + 1] == f"{count:,}"
    assert f"1.7{words.TIMES}" in said, "growth against the day before"
    assert "2026-02-05 00:00 to 2026-02-06 06:00 UTC, open" in said
    assert "2 alerts fire: ends before plan, budget" in said


def test_refusals_are_those_of_the_reports_page(written: list[tuple[str, float | None]]) -> None:
    rush = [row(0, count=30), row(1, "voucher.rejected", 70, reason="sold_out")]
    early = row(0, "voucher.rejected", 100, reason="not_started")
    draw(state_of(*rush, early, row(3_600, "voucher.expired", 1), facts=facts(cards_left=971), at=3_601))
    assert "70 % refused, 100 too early" in {text for text, _ in written}


def test_dollars_and_chinese_are_drawn_as_they_are_and_at_most_one_line_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: dict[str, Any] = {}
    made = Text.__init__

    def noted(self: Text, x: float = 0, y: float = 0, text: Any = "", **changes: Any) -> None:
        made(self, x, y, text, **changes)
        shown[str(text)] = changes.get("parse_math")

    monkeypatch.setattr(Text, "__init__", noted)
    name, categories = "夏日 $\\frac{1}{0 off$", ("餐饮", "$x_1$", r"\$5 {")
    with capture_logs() as logged:
        draw(busy_day(name=name, categories=categories))
    assert {text: shown[text] for text in (name, *categories)} == dict.fromkeys((name, *categories), False)
    assert len(logged) <= 1


def test_what_no_font_has_is_told_once_and_other_warnings_stay() -> None:
    quiet = logging.getLogger("matplotlib.font_manager").level
    with capture_logs() as logged, fonts.one_line_at_most():
        for code in (0x591C, 0x590F, 0x590F):
            warnings.warn(f"Glyph {code} (\\N{{...}}) missing from font(s) DejaVu Sans.", stacklevel=1)
    assert [(line["characters"], line["first"]) for line in logged] == [(2, "U+590F")]
    with pytest.raises(UserWarning, match="something else"), fonts.one_line_at_most():
        warnings.warn("something else", stacklevel=1)
    assert logging.getLogger("matplotlib.font_manager").level == quiet


def test_a_character_that_no_font_has_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "CHINESE", ())
    with capture_logs() as logged:
        draw(busy_day(name="夏日"))
    assert [line["characters"] for line in logged] == [2]


def test_the_first_chinese_font_that_is_installed_is_asked_after_the_plain_one() -> None:
    assert fonts.families(["WenQuanYi Zen Hei", "Comic", "Noto Sans CJK JP"]) == ["DejaVu Sans", "WenQuanYi Zen Hei"]
    assert fonts.families(["Comic"]) == ["DejaVu Sans"]


def test_a_long_name_is_cut_to_its_place() -> None:
    drawn = sheet.Sheet()
    for text in ("W" * 500, "a name of many words " * 20):
        assert 200 < drawn.text(0, 50, text, width_pixels=300) <= 300 < drawn.text(0, 50, text)
    assert drawn.text(0, 50, "ok", width_pixels=300) == drawn.text(0, 50, "ok"), "what fits is not cut"


def test_a_line_break_in_a_name_does_not_tear_the_picture() -> None:
    assert words.one_line("two\nlines\tand\u202e more") == "two lines and more"
    assert words.one_line("x" * 10_000) == "x" * words.CHARACTERS_MAX + words.ELLIPSIS


def test_rows_are_bounded_and_the_last_says_what_it_sums() -> None:
    many = [rows.Row(f"name {number}", number) for number in range(1, 101)]
    shown = rows.bounded(many)
    assert len(shown) == rows.ROWS_MAX
    assert shown[0] == rows.Row("name 100", 100)
    assert shown[-1].name == "other (93 more)"
    assert sum(row.total for row in shown) == sum(row.total for row in many)
    assert rows.bounded(many[: rows.ROWS_MAX]) == many[: rows.ROWS_MAX][::-1]


@pytest.mark.parametrize("seconds", [1, 59, 600, 21_600, 86_400, 3 * 86_400, 40 * 86_400, 400 * 86_400])
def test_ticks_are_few_and_at_whole_steps(seconds: int) -> None:
    start = 1_770_336_007
    places = curves.ticks(start, start + seconds)
    assert len(places) <= 7
    assert all(start <= at <= start + seconds for at in places)
    assert len(places) >= 2 or seconds < 59


def test_figures_are_written_short() -> None:
    assert [short(amount) for amount in (0, 2.5, 999, 999.7, 1_000, 1_234_567, 2.5e9)] == [
        "0", "2.5", "999", "1000", "1 k", "1.23 M", "2.5 bn",
    ]  # fmt: skip
    assert [words.percent(share) for share in (0, 0.015, 0.5, 1.02)] == ["0 %", "1.5 %", "50 %", "102 %"]
    assert words.span(1_770_336_000, 1_770_508_800) == "2026-02-06 00:00 to 2026-02-08 00:00 UTC"


@pytest.mark.parametrize(
    ("code", "text"), [("CNY", "12.3 k CNY"), ("JPY", "1.23 M JPY"), ("KRW", "1.23 M KRW"), ("KWD", "1.23 k KWD")]
)
def test_money_is_divided_by_what_the_currency_has(code: str, text: str) -> None:
    assert money(1_230_000, code) == text

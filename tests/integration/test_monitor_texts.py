"""What the page says, in a real browser: a report needs no server."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.browser import CHROMIUM, Browser
from tests.unit.demand_given import START, facts, kept_after, row, seen
from voucher_ledger.monitor import view
from voucher_ledger.monitor.facts import Lag
from voucher_ledger.monitor.forecast import Tranche
from voucher_ledger.report.page import page

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (Debian: apt-get install chromium)"),
]

ROWS = [row(1, count=82)]


def state_of(**changes: Any) -> dict[str, Any]:
    one = seen(*ROWS, facts=facts(**changes), at=3)
    shown = view.in_full(one, kept_after(*ROWS), with_running=True)
    return {"lags": [], "alerts": [], "campaigns": [view.in_short(one)], "campaign": shown, "crossing": None}


@pytest.mark.parametrize(
    ("cards_out", "text"),
    [(82, "by the ledger 82: they agree."), (77, "by the ledger 77: within what is under way.")],
)
def test_a_difference_is_told_as_what_it_is(tmp_path: Path, cards_out: int, text: str) -> None:
    out = tmp_path / "report.html"
    out.write_text(page(state_of(cards_out=cards_out), "Report"), encoding="utf-8")
    with Browser(out.as_uri()) as browser:
        browser.wait(f"document.querySelector('#books').textContent.includes('{text}')")


def test_a_paced_campaign_has_its_tiles_and_a_curve(tmp_path: Path) -> None:
    tranches = (Tranche(START, 600), Tranche(START + 3_600, 400))
    state = state_of(tranches=tranches, cards_left=420, cards_out=580, waiting=7, waiting_since=START - 57.0)
    out = tmp_path / "report.html"
    out.write_text(page(state, "Report"), encoding="utf-8")
    with Browser(out.as_uri()) as browser:
        browser.wait("document.querySelector('#demand canvas')?.width > 300")
        tiles = browser.evaluate("document.querySelector('#tiles').textContent")
    for text in ("Claimable now20", "Next tranche400in 60 min", "Waiting7the first for 60 s"):
        assert text in tiles


def test_alerts_that_stand_still_are_told_at_the_top(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    state = {**state_of(), "alerts_frozen": "1,001 rollups wait to be read"}
    out.write_text(page(state, "Report"), encoding="utf-8")
    with Browser(out.as_uri()) as browser:
        browser.wait("document.querySelector('#tiles .tile')")
        told = browser.evaluate(
            "document.querySelector('#trouble').hidden || document.querySelector('#trouble').textContent"
        )
    assert told == "Alerts neither begin nor end: 1,001 rollups wait to be read"


@pytest.mark.parametrize(
    ("seconds", "text", "is_warning"),
    [([0.0, None], "Lag?7 commands wait", True), ([3.0, 0.0], "Lag3 s7 commands", False)],
)
def test_a_lag_that_is_not_known_is_no_zero(
    tmp_path: Path, seconds: list[float | None], text: str, is_warning: bool
) -> None:
    out = tmp_path / "report.html"
    topics = zip(("claim.commands", "order.commands"), (7, 0), seconds, strict=True)
    lags = [Lag(topic, records, lag).as_json() for topic, records, lag in topics]
    out.write_text(page({**state_of(), "lags": lags}, "Report"), encoding="utf-8")
    with Browser(out.as_uri()) as browser:
        browser.wait("document.querySelector('#tiles .tile')")
        tile = "[...document.querySelectorAll('.tile')].find((one) => one.textContent.startsWith('Lag'))"
        assert browser.evaluate(f"{tile}.textContent").startswith(text)
        assert browser.evaluate(f"{tile}.classList.contains('warning')") == is_warning


@pytest.mark.parametrize(("currency", "text"), [("CNY", "12.3 k CNY left"), ("JPY", "1.23 M JPY left")])
def test_money_is_divided_by_what_the_currency_has(tmp_path: Path, currency: str, text: str) -> None:
    out = tmp_path / "report.html"
    out.write_text(page(state_of(currency=currency, budget_left_minor=1_230_000), "Report"), encoding="utf-8")
    with Browser(out.as_uri()) as browser:
        browser.wait("document.querySelector('#tiles .tile')")
        assert text in browser.evaluate("document.querySelector('#tiles').textContent")


def test_the_tiles_of_a_report_are_of_the_whole_day(tmp_path: Path) -> None:
    rush = [
        row(0, count=30),
        row(1, "voucher.rejected", 70, reason="sold_out"),
        row(2, "order.reserved", 20, high_ticket=5),
    ]
    rows = [*rush, row(3_600, "voucher.expired", 2)]
    one = seen(*rows, facts=facts(cards_left=972, cards_out=28), at=3_601)
    shown = view.in_full(one, kept_after(*rows), with_running=True)
    out = tmp_path / "report.html"
    state = {**state_of(), "campaigns": [view.in_short(one)], "campaign": shown, "whole_day": True}
    out.write_text(page(state, "Report"), encoding="utf-8")
    with Browser(out.as_uri()) as browser:
        browser.wait("document.querySelector('#tiles .tile')")
        tiles = browser.evaluate("document.querySelector('#tiles').textContent")
        heads = browser.evaluate(
            "[...document.querySelectorAll('#reasons th, #categories th')].map((one) => one.textContent)"
        )
    for text in (
        "Claims refused70 %in all, most: sold_out",
        "High-ticket orders25 %of all orders",
        "Cards granted302 expired",
    ):
        assert text in tiles
    assert "5 min" not in heads

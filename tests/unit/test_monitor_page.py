"""The live page's files: whole, from one place, and with the licence of what others wrote."""

import re
from importlib.resources import files

import pytest

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PAGE = files("voucher_ledger.monitor") / "page"


def test_the_page_loads_what_is_served_and_nothing_from_elsewhere() -> None:
    from voucher_ledger.monitor.web import ASSETS

    page = (PAGE / "index.html").read_text(encoding="utf-8")
    asked = set(re.findall(r'(?:src|href)="([^"]+)"', page))
    assert asked == {f"/{path}" for path in ASSETS if path} | {"data:,"}
    for name, _ in ASSETS.values():
        text = (PAGE / name).read_text(encoding="utf-8")
        loaded = re.findall(r"(?:src=|href=|url\(|import|fetch\()\s*[\"'`(]*\s*(?:https?:)?//\S+", text)
        assert loaded == [], name


def test_the_page_has_no_code_that_its_policy_forbids() -> None:
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?! src=)|\bon\w+=|<style|\sstyle=", page) == []
    ours = [(PAGE / name).read_text(encoding="utf-8") for name in ("page.js", "charts.js")]
    assert [
        word
        for text in ours
        for word in re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b", text)
    ] == []


def test_the_charting_library_has_its_licence_beside_it() -> None:
    assert "MIT License" in (PAGE / "uplot" / "LICENSE").read_text(encoding="utf-8")
    assert "uPlot (v1.6.32)" in (PAGE / "uplot" / "uPlot.iife.min.js").read_text(encoding="utf-8")[:100]

"""The live page's files: whole, from one place, and with the licence of what others wrote."""

import re
from importlib.resources import files

import orjson
import pytest

from voucher_ledger.report.page import page

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
    ours = [(PAGE / name).read_text(encoding="utf-8") for name in ("page.js", "figures.js", "charts.js")]
    forbidden = re.compile(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b")
    assert [word for text in ours for word in forbidden.findall(text)] == []


def test_a_report_is_one_file_whatever_a_campaign_is_called() -> None:
    state = {"campaign": {"campaign_id": "</script><script>alert(1)</script><!--"}}
    text = page(state, "<b>&")
    assert re.findall(r'<(?:script|link)[^>]*(?:src|href)="(?!data:)', text) == []
    assert text.count("<script") == 5, "the state, the library, the charts, the figures, the page"
    assert "<h1>&lt;b>&amp;</h1>" in text
    data = text.partition('id="state">')[2].partition("</script>")[0]
    assert orjson.loads(data) == state


def test_the_charting_library_has_its_licence_beside_it() -> None:
    assert "MIT License" in (PAGE / "uplot" / "LICENSE").read_text(encoding="utf-8")
    assert "uPlot (v1.6.32)" in (PAGE / "uplot" / "uPlot.iife.min.js").read_text(encoding="utf-8")[:100]

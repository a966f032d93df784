"""`voucher-ledger plan` as it is used: the grey release of examples/, what is printed, and the picture."""

import io
import threading
import xml.etree.ElementTree as Tree
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.unit.test_plan_files import DATA
from voucher_ledger import cli
from voucher_ledger.plan import command
from voucher_ledger.plan.chart import Series, chart
from voucher_ledger.plan.outcome import Level, Quantiles
from voucher_ledger.plan.report import plan
from voucher_ledger.run.exit_codes import ExitCode

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "grey-release"
GREY_RELEASE = [str(EXAMPLE / "campaign.json"), str(EXAMPLE / "forecast.csv")]
VOID = {"meta", "link", "br"}


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["plan", *arguments]) == ExitCode.DONE
    return capsys.readouterr().out


def plans_of(text: str) -> dict[str, Any]:
    return {plan["plan"]: plan for plan in orjson.loads(text)["plans"]}


def test_the_grey_release_is_gone_in_eight_minutes_and_comes_for_six_hours_in_tranches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = planned(capsys, *GREY_RELEASE, "--runs", "5", "--json")
    report, plans = orjson.loads(told), plans_of(told)
    assert report["quota"] == 50_000
    assert 7 <= plans["all at once"]["last_card_granted_minutes"]["p50"] <= 9
    assert plans["all at once"]["available_share"]["p50"] < 0.03
    assert plans["all at once"]["tranches_after_cards_ran_out"] is None
    paced = plans["recommended release"]
    assert len(report["release"]) == paced["tranches"] == 36
    assert report["release"][-1]["at"] == "2026-02-06T05:50:00.000Z"
    assert sum(tranche["quota"] for tranche in report["release"]) == 50_000
    assert paced["tranches_after_cards_ran_out"]["p50"] == 35
    assert 7 <= paced["longest_without_cards_minutes"]["p50"] <= 10
    assert paced["last_card_granted_minutes"]["p10"] >= 350
    assert paced["granted"]["p50"] == 50_000
    assert report["quota_value_minor"] == report["budget_minor"] == report["committed_at_most_minor"]
    assert any("one simulated claim stands for 14 claims" in note for note in report["notes"])


def test_without_uncertainty_it_is_the_eight_minutes_of_the_forecast(capsys: pytest.CaptureFixture[str]) -> None:
    plans = plans_of(planned(capsys, *GREY_RELEASE, "--runs", "5", "--uncertainty", "0", "--json"))
    assert plans["all at once"]["last_card_granted_minutes"]["p50"] == pytest.approx(8, abs=0.4)


@pytest.fixture
def small(tmp_path: Path) -> list[str]:
    """A campaign with two tranches of its own, a budget that is too small, cards that expire, and a category budget."""
    release = [{"at": DATA["starts_at"], "quota": 60}, {"at": "2026-02-06T01:00:00Z", "quota": 40}]
    changes = {"budget_minor": 200_000, "release": release, "voucher_ttl_s": 60, "category_budgets_minor": {"hotel": 1}}
    (tmp_path / "campaign.json").write_bytes(orjson.dumps(DATA | changes))
    lines = ["hour,claims,category,conversion", "0,90,tea,0.5", "0,30,hotel,0.5", "1,90,tea,0.5"]
    (tmp_path / "forecast.csv").write_text("\n".join(lines), encoding="utf-8")
    return [str(tmp_path / "campaign.json"), str(tmp_path / "forecast.csv")]


def test_the_release_of_the_file_is_tried_too(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    plans = plans_of(planned(capsys, *small, "--json"))
    assert list(plans) == ["all at once", "release of the file", "recommended release"]
    assert plans["release of the file"]["tranches"] == 2
    assert plans["release of the file"]["granted"]["p90"] == 80


def test_the_tables_are_plain_off_a_terminal(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    told = planned(capsys, *small, "--tranches", "3")
    assert "\x1b" not in told
    for text in (
        "spring: 100 cards from 2026-02-06T00:00:00.000Z, meant for 120 minutes; 210 claims expected.",
        "must wait for the next tranche",
        "80 of 100",
        "Budget risk: the budget covers 80 of 100 cards",
        "Budget risk: hotel may want",
        "Cards expire 1 minutes after",
        "last card granted, minute",
        "longest time without, minutes",
        "tranches after cards ran out, of 1",
        "With the release of the file (2 tranches) new cards come until minute 60, if the budget lasts.",
        "% of the time, they had run out before 1 of the 1 later tranches, and the longest time without a card is",
    ):
        assert text in told
    pasted = orjson.loads(told[told.index('"release": [') + len('"release": ') :])
    assert sum(tranche["quota"] for tranche in pasted) == 100
    assert len(pasted) == 3


def test_a_past_day_stands_in_for_the_forecast(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claims = [
        {"type": "voucher.claim", "id": f"c-{number}", "time": f"2025-01-01T10:{number // 10:02}:00Z", "data": {}}
        for number in range(300)
    ]
    (tmp_path / "day.ndjson").write_bytes(b"\n".join(orjson.dumps(claim) for claim in claims))
    told = planned(capsys, small[0], "--from-events", str(tmp_path / "day.ndjson"), "--uncertainty", "0", "--json")
    assert orjson.loads(told)["claims_expected"] == 300
    assert plans_of(told)["all at once"]["last_card_granted_minutes"]["p50"] == pytest.approx(8, abs=1.5)


def test_claims_past_the_end_are_left_out_and_told(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A claim a minute for a day and a campaign of two hours: two hours of it count, in the scale too."""
    day = [
        {"type": "voucher.claim", "id": f"c-{number}", "time": f"2025-01-01T{number // 60:02}:{number % 60:02}:00Z"}
        for number in range(24 * 60)
    ]
    (tmp_path / "day.ndjson").write_bytes(b"\n".join(orjson.dumps(claim) for claim in day))
    report = orjson.loads(planned(capsys, small[0], "--from-events", str(tmp_path / "day.ndjson"), "--json"))
    assert (report["claims_expected"], report["claims_left_out"]) == (120, 1_320)
    assert "Left out: 1,320 claims that are expected past the campaign's end." in report["notes"]

    (tmp_path / "campaign.json").write_bytes(orjson.dumps(DATA | {"ends_at": "2026-02-06T01:15:00Z"}))
    (tmp_path / "forecast.csv").write_text("hour,claims\n0,10000\n1,40000\n", encoding="utf-8")
    report = orjson.loads(planned(capsys, *small, "--runs", "1", "--json"))
    assert (report["claims_expected"], report["claims_left_out"]) == (20_000, 30_000)
    assert report["scale"]["claims_each"] == 1


def test_tranches_too_small_for_a_simulated_card_are_told(small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path(small[1]).write_text("hour,claims\n0,2000000\n", encoding="utf-8")
    report = orjson.loads(planned(capsys, *small, "--runs", "1", "--json"))
    assert any(
        note.startswith("Coarse: 1 of the 2 tranches are less than one simulated card") for note in report["notes"]
    )


class Balance(HTMLParser):
    """Which elements are open, and what a page asks of the world outside."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.outside += [f"{tag} {name}" for name, _ in attrs if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_picture_is_one_sound_page(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned(capsys, *small, "--html", str(tmp_path / "plan.html"))
    page = (tmp_path / "plan.html").read_text(encoding="utf-8")
    balance = Balance()
    balance.feed(page.removeprefix("<!doctype html>"))
    assert (balance.open, balance.outside) == ([], [])
    assert "url(" not in page
    assert "@import" not in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    assert "release of the file" in page
    Tree.fromstring(page[page.index('<svg viewBox="0 0 480') : page.index("</svg>", page.index("<figure")) + 6])


def test_the_picture_holds_the_release_to_be_pasted(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = planned(capsys, *small, "--html", str(tmp_path / "plan.html"))
    page = (tmp_path / "plan.html").read_text(encoding="utf-8")
    block = unescape(page.partition("<pre")[2].partition(">")[2].partition("</pre>")[0])
    assert told.endswith(f"{block}\n")
    release = orjson.loads("{" + block + "}")["release"]
    assert release == orjson.loads(planned(capsys, *small, "--json"))["release"]


def test_a_long_computation_is_told_on_standard_error(
    small: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = threading.Event()

    class Errors(io.StringIO):
        def write(self, text: str) -> int:
            said.set()
            return super().write(text)

    def long_plan(*arguments: Any) -> Any:
        assert said.wait(30)
        return plan(*arguments)

    errors = Errors()
    monkeypatch.setattr("sys.stderr", errors)
    monkeypatch.setattr(command, "SILENT_SECONDS_MAX", 0)
    monkeypatch.setattr(command, "plan", long_plan)
    assert plans_of(planned(capsys, *small, "--runs", "3", "--json"))
    assert errors.getvalue() == "trying each plan on 3 runs of the day...\n"


@pytest.mark.parametrize("cards", [1, 3, 9, 10, 99, 250, 50_000, 10**15])
@pytest.mark.parametrize("minutes", [0.001, 7, 120, 360, 43_200])
def test_a_chart_stays_in_its_frame_and_has_few_marks(cards: int, minutes: float) -> None:
    levels = [Level(0, Quantiles(cards, cards, cards)), Level(minutes, Quantiles(0, 0, cards))]
    drawing = Tree.fromstring(chart([Series("once", levels)], cards, minutes, "a label"))
    band = drawing.findall("path[@class='band once']")[0].attrib["d"]
    assert band == "M58.0 12.0 L466.0 12.0 L466.0 260.0 L58.0 12.0 Z"
    assert len(drawing.findall("text")) <= 6 + 9 + 1

"""What the live page says when something is wrong, and what it never says: in a real browser, over made-up states."""

from typing import Any

import pytest

from tests.integration.browser import CHROMIUM, Browser
from tests.integration.live_page import served
from tests.unit.demand_given import FACE_MINOR, START, facts, given_out, kept_after, row
from voucher_ledger.monitor import outlook, view
from voucher_ledger.monitor.alerts import REFUSALS_ANSWERED_MIN
from voucher_ledger.monitor.facts import Facts, Lag
from voucher_ledger.report.picture.words import UNKNOWN

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed (Debian: apt-get install chromium)"),
]

STEADY = [row(at, count=2) for at in range(60)]
REFUSED = row(59, "voucher.rejected", 30, reason="sold_out")
LAGS = [Lag("claim.commands", 2, 0.0).as_json()]
TILES = "document.querySelector('#tiles')"


def state_of(told: Facts | None = None, *rows: dict[str, Any], at: int = 60, **changes: Any) -> dict[str, Any]:
    """The state as a monitor gives it that read the ledger two seconds ago."""
    campaign = told or given_out(120)
    kept = kept_after(*(rows or (*STEADY, REFUSED)))
    one = outlook.look(campaign.campaign_id, kept, campaign, START + at, 0)
    made = {
        "at": START + at, "recovering": False, "whole_day": False, "not_ready": None, "problem": None,
        "alerts_frozen": None, "reading_at": START + at - 2.0, "demand_lag_records": 0, "lags": LAGS, "alerts": [],
        "campaigns": [view.in_short(one)], "campaign": view.in_full(one, kept), "campaign_problem": None,
        "crossing": None,
    }  # fmt: skip
    return {**made, **changes}


def alert_of(campaign_id: str, subject: str, summary: str) -> dict[str, Any]:
    return {
        "campaign_id": campaign_id, "alert": "budget", "subject": subject, "severity": "critical", "summary": summary,
        "since": START,
    }  # fmt: skip


def text_of(browser: Browser, selector: str) -> str:
    return str(browser.evaluate(f"document.querySelector('{selector}').textContent"))


def found(name: str) -> str:
    return f"[...{TILES}.querySelectorAll('.tile')].find((one) => one.textContent.startsWith('{name}'))"


def tile(browser: Browser, name: str) -> str:
    browser.wait(f"{TILES}.querySelector('.tile')")
    return str(browser.evaluate(f"{found(name)}.textContent")).removeprefix(name)


def is_alarming(browser: Browser, name: str) -> bool:
    return bool(browser.evaluate(f"/warning|critical/.test({found(name)}.className)"))


def looks_old(browser: Browser, name: str) -> bool:
    """Its figure has the soft colour of a note."""
    colour = "getComputedStyle({}.querySelector('.{}')).color".format
    return bool(browser.evaluate(f"{colour(found(name), 'figure')} === {colour(found(name), 'note')}"))


def test_while_demand_is_recovered_nothing_old_is_shown_as_of_now() -> None:
    whole = state_of()
    recovering = {
        **whole, "recovering": True, "not_ready": "demand is being recovered from the changelog", "campaign": None,
        "campaigns": [], "reading_at": None, "lags": [],
    }  # fmt: skip
    with served(first=whole) as page, Browser(page.url) as browser:
        browser.wait("document.querySelector('#freshness').className === 'live'")
        browser.wait("document.querySelector('#reasons').textContent.includes('sold_out')")
        page.states = {None: recovering}
        browser.wait("document.querySelector('#freshness').className === 'old'")
        assert text_of(browser, "#freshness-text") == "demand is being recovered"
        assert text_of(browser, "#tiles") == "Demand is being recovered: figures come once that is done."
        assert text_of(browser, "#trouble") == "Demand is being recovered from the changelog"
        assert browser.evaluate("document.querySelector('#trouble').className") == "recovering"
        assert [text_of(browser, f"#{name}") for name in ("reasons", "tiers", "categories", "crossing")] == [""] * 4


def test_an_old_reading_is_shown_with_its_age_and_without_a_lag() -> None:
    with served(first=state_of(reading_at=START + 42.0)) as page, Browser(page.url) as browser:
        assert tile(browser, "Lag") == "?the ledger was read 18 s ago"
        browser.wait("document.querySelector('#freshness').className === 'old'")
        assert text_of(browser, "#freshness-text") == "as of 00:01:00 UTC, ledger read 18 s ago"
        assert text_of(browser, "#trouble") == "The ledger was last read 18 s ago"
        assert text_of(browser, "#lags tbody") == "claim??"
        page.states = {None: state_of()}
        browser.wait("document.querySelector('#freshness').className === 'live'")
        assert tile(browser, "Lag") == "0 s2 commands wait"


@pytest.mark.parametrize(
    ("state", "cards", "budget"),
    [
        (state_of(), "in 7 min7 min to 7 min", "in 7 min7 min to 7 min"),
        (state_of(given_out(1_000)), "goneat 00:01:00, plan 06:00:00", "goneat 00:01:00, plan 06:00:00"),
        (
            state_of(facts(ends_at=START + 400)),
            "not before its endby the trend of ten minutes", "not before its endby the trend of ten minutes",
        ),
        (
            state_of(facts(budget_left_minor=500 * FACE_MINOR)),
            f"{UNKNOWN}the budget ends first", "in 4 min4 min to 4 min",
        ),
        (state_of(alerts_frozen="7,512 rollups wait to be read"), *[f"{UNKNOWN}no forecast by old figures"] * 2),
        (state_of(facts(state="closed")), *[f"{UNKNOWN}closed"] * 2),
    ],
    ids=["trend", "gone", "after the end", "the other first", "behind", "closed"],
)  # fmt: skip
def test_what_ends_when(state: dict[str, Any], cards: str, budget: str) -> None:
    with served(first=state) as page, Browser(page.url) as browser:
        assert (tile(browser, "Cards end"), tile(browser, "Budget ends")) == (cards, budget)


def test_the_rate_is_that_of_now_and_refusals_name_their_window() -> None:
    sold_out = state_of(given_out(1_000), *STEADY, REFUSED, at=77)
    with served(first=sold_out) as page, Browser(page.url) as browser:
        assert tile(browser, "Net grants a second").startswith("0in 10 s")
        assert tile(browser, "Claims refused") == "20 %in five minutes, most: sold_out"


@pytest.mark.parametrize(
    ("granted", "refused", "share", "is_warning"),
    [
        (1, 1, "50 %", False), (0, 1, "100 %", False), (1, REFUSALS_ANSWERED_MIN - 2, "99 %", False),
        (1, REFUSALS_ANSWERED_MIN - 1, "99 %", True), (REFUSALS_ANSWERED_MIN, REFUSALS_ANSWERED_MIN, "50 %", False),
    ],
)  # fmt: skip
def test_what_a_handful_was_refused_is_no_alarm(granted: int, refused: int, share: str, is_warning: bool) -> None:
    rows = [row(58, count=granted), row(59, "voucher.rejected", refused, reason="user_limit")]
    with served(first=state_of(given_out(granted), *rows)) as page, Browser(page.url) as browser:
        assert tile(browser, "Claims refused") == f"{share}in five minutes, most: user_limit"
        assert is_alarming(browser, "Claims refused") == is_warning


def test_the_figures_of_a_monitor_that_is_behind_look_old_and_its_lag_is_none_that_is_fine() -> None:
    behind = state_of(alerts_frozen="7,512 rollups wait to be read", demand_lag_records=7_512)
    with served(first=state_of()) as page, Browser(page.url) as browser:
        assert tile(browser, "Lag") == "0 s2 commands wait"
        assert not is_alarming(browser, "Lag")
        assert not looks_old(browser, "Cards left")
        page.states = {None: behind}
        browser.wait("document.querySelector('#freshness').className === 'old'")
        assert looks_old(browser, "Cards left")
        assert tile(browser, "Lag") == "0 s2 commands wait; the monitor is behind"
        assert is_alarming(browser, "Lag")
        assert not looks_old(browser, "Lag")
        page.states = {None: state_of()}
        browser.wait("document.querySelector('#freshness').className === 'live'")
        assert not looks_old(browser, "Cards left")


def test_a_campaign_has_one_name_and_a_link_that_leads_to_it() -> None:
    first, other = state_of(), state_of(facts(campaign_id="k/wd", name="Dinar by budget"))
    listed = {
        "campaigns": [*first["campaigns"], *other["campaigns"]],
        "alerts": [alert_of("k/wd", "95", "all"), alert_of("k/wd", "80", "much"), alert_of("not held", "80", "some")],
    }
    pages = {"first": {**first, **listed}, "k/wd": {**other, **listed}, "grey": {**first, **listed}}
    with served(**pages) as page, Browser(page.url) as browser:
        browser.wait("document.querySelector('#alerts a')")
        lines = browser.evaluate("[...document.querySelectorAll('#alerts li')].map((one) => one.textContent)")
        assert lines == [
            "budgetDinar by budget (k/wd): allsince 00:00:00", "budgetnot held: somesince 00:00:00"
        ]  # fmt: skip
        chosen = "document.querySelector('#campaign').selectedOptions[0].textContent"
        assert browser.evaluate(chosen) == "Grey release (grey)"
        browser.evaluate("document.querySelector('#alerts a').click()")
        browser.wait("location.search === '?campaign=k%2Fwd'")
        browser.wait(
            f"document.querySelector('#campaign').selectedOptions.length && {chosen} === 'Dinar by budget (k/wd)'"
        )
        assert page.asked[-1] == "k/wd"
        browser.evaluate("document.querySelector('#campaign').value = 'grey'")
        browser.evaluate("document.querySelector('#campaign').dispatchEvent(new Event('change'))")
        browser.wait(f"location.search === '?campaign=grey' && {chosen} === 'Grey release (grey)'")


def test_an_unknown_campaign_is_told_as_that() -> None:
    unknown = {**state_of(), "campaign": None}
    with served(first=unknown) as page, Browser(f"{page.url}?campaign=nobody%27s") as browser:
        browser.wait(f'{TILES}.textContent === "No campaign nobody\'s is known here."')

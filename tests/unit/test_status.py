"""What `status --watch` shows on a terminal of the usual size."""

import io
import json
import threading
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from voucher_ledger.status import command
from voucher_ledger.status.render import screen, tables
from voucher_ledger.status.snapshot import Balance, CampaignStatus, PartitionStatus, Snapshot, Tranche

WIDTH, HEIGHT = 80, 24
TOPICS = ("campaign.commands", "claim.commands", "order.commands", "payment.commands")
ROLES = ("funding", "pool", "lease", "granted", "held", "spent", "loss")
AT_MS = 1_770_336_000_123


def snapshot(campaigns: int) -> Snapshot:
    partitions = [
        PartitionStatus(topic, number, 1_000_000, 1_000_000, 0, 2_234_567, 1_234.5, 1_000_000, 1_500, f"{topic}-0")
        for topic in TOPICS
        for number in range(8)
    ]
    balances = [
        Balance(f"spring-{number}", role, unit, 1_234_567)
        for number in range(campaigns)
        for role in ROLES
        for unit in ("VOUCHER", "CNY")
    ]
    return Snapshot(AT_MS, partitions, balances)


class Reader:
    """A reader whose one snapshot is given."""

    def __init__(self, shown: Snapshot) -> None:
        self.snapshot = lambda: shown


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is written to a terminal of WIDTH and HEIGHT."""
    written = io.StringIO()

    def console(**_named: Any) -> Console:
        return Console(file=written, force_terminal=True, color_system=None, width=WIDTH, height=HEIGHT)

    monkeypatch.setattr(command, "Console", console)
    return written


def watched(terminal: io.StringIO, campaigns: int) -> list[str]:
    """The lines of the first screen."""
    stop = threading.Event()
    stop.set()
    reader: Any = Reader(snapshot(campaigns))
    command._show(reader, True, False, stop)
    screen = terminal.getvalue().rpartition("\x1b[H")[2].partition("\x1b[?")[0]
    lines = [line.rstrip() for line in screen.splitlines()]
    assert len(lines) == HEIGHT
    return lines


@pytest.mark.parametrize("campaigns", [0, 1, 2, 1_000])
def test_what_matters_most_fits_a_usual_terminal(terminal: io.StringIO, campaigns: int) -> None:
    lines = watched(terminal, campaigns)
    assert lines[0] == "39,506,144 records waiting, oldest 1,234.5 s; 48,000 dead letters; 00:00:00 UTC"
    for topic in TOPICS:
        (row,) = [line for line in lines if line.strip().startswith(topic)]
        assert row.split() == [topic, "8,000,000", "0", "9,876,536", "1,234.5", "12,000"]


def test_the_totals_are_the_last_line_in_one_colour() -> None:
    """It is what is read first, above the next prompt: numbers alone in colour would be half of it."""
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, color_system="standard", width=WIDTH)
    command._print(snapshot(2), console, json=False)
    last = written.getvalue().splitlines()[-1]
    assert last == "39,506,144 records waiting, oldest 1,234.5 s; 48,000 dead letters; 00:00:00 UTC"


def test_balances_that_do_not_fit_are_counted(terminal: io.StringIO) -> None:
    lines = watched(terminal, 2)
    rows = [line for line in lines if line.endswith("CNY")]
    assert len(rows) >= len(ROLES)
    assert f"and {2 * len(ROLES) - len(rows)} more rows" in lines[-1]


def test_one_campaign_fits(terminal: io.StringIO) -> None:
    lines = watched(terminal, 1)
    assert [line.split()[-4] for line in lines if line.endswith("CNY")] == [*ROLES]
    assert "more rows" not in " ".join(lines)


def test_names_are_shown_as_they_are() -> None:
    """A campaign's id may hold what rich takes for its markup."""
    name = "[/spring]"
    partition = PartitionStatus("claim.commands", 0, 1, 1, 0, 1, 0.0, 1, 0, name)
    console = Console(file=io.StringIO(), width=160)
    console.print(tables(Snapshot(AT_MS, [partition], [Balance(name, "pool", "VOUCHER", 1)])))
    written: Any = console.file
    assert written.getvalue().count(name) == 2


HOUR_MS = 3_600_000
QUEUE = CampaignStatus(
    "[/queue]", "open", 50_000, 1_234, 0, Tranche(AT_MS + HOUR_MS, 5_000), 17, AT_MS - HOUR_MS, AT_MS
)
PLAIN = CampaignStatus("plain", "paused", 10, 3, 7, None, 0, None, AT_MS)


def test_campaigns_are_shown_with_their_tranches_and_lines_and_how_many_more_there_are() -> None:
    """At midnight it was asked first how the campaign stands, and status said nothing of it."""
    console = Console(file=io.StringIO(), width=160)
    console.print(tables(Snapshot(AT_MS, [], [], [QUEUE, PLAIN], 3)))
    written: Any = console.file
    lines = [" ".join(line.split()) for line in written.getvalue().splitlines()]
    assert (
        "[/queue] open 50,000 1,234 0 5,000 at 2026-02-06T01:00:00Z 17 2026-02-05T23:00:00Z 2026-02-06T00:00:00Z"
        in lines
    )
    assert "plain paused 10 3 7 - 0 - 2026-02-06T00:00:00Z" in lines
    assert "and 3 more campaigns, which run at another time or ended longer ago" in lines


def test_campaigns_are_in_the_json_with_times_as_text() -> None:
    shown = json.loads(Snapshot(AT_MS, [], [], [QUEUE, PLAIN], 3).to_json())
    assert shown["campaigns_more"] == 3
    assert shown["campaigns"][0] == {
        "campaign_id": "[/queue]",
        "state": "open",
        "quota": 50_000,
        "granted": 1_234,
        "claimable": 0,
        "next_tranche": {"at": "2026-02-06T01:00:00.123Z", "quota": 5_000},
        "waiting": 17,
        "waiting_since": "2026-02-05T23:00:00.123Z",
        "ends_at": "2026-02-06T00:00:00.123Z",
    }
    assert shown["campaigns"][1]["next_tranche"] is shown["campaigns"][1]["waiting_since"] is None


@pytest.mark.parametrize(("height", "shown"), [(20, False), (60, True)])
def test_a_watched_terminal_shows_campaigns_where_they_fit(height: int, shown: bool) -> None:
    console = Console(file=io.StringIO(), width=120, height=height)
    full = snapshot(1)
    console.print(screen(Snapshot(AT_MS, full.partitions, full.balances, [QUEUE]), console))
    written: Any = console.file
    assert ("5,000 at" in written.getvalue()) is shown
    assert written.getvalue().count("CNY") == len(ROLES)


def test_a_partition_whose_last_holder_is_gone_is_held_by_nobody() -> None:
    """With every process stopped it still named the last one of each partition."""
    lives = snapshot(0).partitions[0]
    gone = replace(lives, partition=1, instance_lives=False)
    shown = Snapshot(AT_MS, [lives, gone], [])
    lines = shown_at(160, shown)
    assert [line.split()[-1] for line in lines if line.startswith("campaign.commands/")] == ["campaign.commands-0", "-"]
    told = [(part["instance"], part["instance_lives"]) for part in json.loads(shown.to_json())["partitions"]]
    assert told == [("campaign.commands-0", True), ("campaign.commands-0", False)]


LONG_ID = "spring-2026-coffee-beijing"
HEADINGS = {
    60: "partition decided lag lag s instance",
    80: "partition decided end lag lag s dead instance",
    100: "partition decided end lag lag s dead instance",
    160: "partition decided published end lag lag s dead letters instance",
}


def shown_at(width: int, shown: Snapshot, *, watched: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=200)
    console.print(screen(shown, console) if watched else tables(shown))
    written: Any = console.file
    lines: list[str] = written.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return [" ".join(line.split()) for line in lines]


@pytest.mark.parametrize("width", HEADINGS)
def test_headings_numbers_and_ids_are_whole_at_any_usual_width(width: int) -> None:
    """At 80 columns headings were cut (`decide/d`), partitions took two lines, and ids were in bits of six letters."""
    campaign = CampaignStatus(LONG_ID, "open", 50_000, 1_234, 0, Tranche(AT_MS, 5_000), 17, AT_MS, AT_MS)
    lines = shown_at(width, Snapshot(AT_MS, snapshot(0).partitions, [], [campaign]))
    assert HEADINGS[width] in lines
    for topic in TOPICS:
        for number in range(8):
            (row,) = [line.split() for line in lines if line.startswith(f"{topic}/{number} ")]
            assert row[1] == "1,000,000"
            assert {"1,234,567", "1,234.5"} <= set(row)
    told = " ".join(lines)
    for whole in (LONG_ID, "open 50,000 1,234 0", "5,000 at 2026-02-06T00:00:00Z", "oldest since"):
        assert whole in told
    assert any(LONG_ID in line for line in lines)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_watch_shows_whole_numbers_at_any_usual_width(width: int) -> None:
    lines = shown_at(width, snapshot(1), watched=True)
    for topic in TOPICS:
        (row,) = [line.split() for line in lines if line.startswith(topic)]
        assert {"8,000,000", "9,876,536", "1,234.5", "12,000"} <= set(row)
    assert len([line for line in lines if "1,234,567 1,234,567 CNY" in line]) == len(ROLES)


def test_where_no_id_has_room_beside_its_balances_it_stands_below() -> None:
    lines = shown_at(40, Snapshot(AT_MS, [], [Balance(LONG_ID, "pool", "CNY", -123_456_700)]))
    assert "pool 0 -123,456,700 CNY" in lines
    assert f"campaign {LONG_ID}" in lines

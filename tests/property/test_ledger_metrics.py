"""The ledger's metrics, read from real books: a bounded number of campaigns, and each unit counted once."""

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import Metric as Family

from tests.property.by_hand import FACE_MINOR, START_MS, campaign_open, claim, step
from tests.property.deciding import Ledger
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.records import Place
from voucher_ledger.metrics import catalogue, ledger_books
from voucher_ledger.metrics import ledger as ledger_metrics
from voucher_ledger.metrics.labels import LEDGER_CAMPAIGNS_MAX
from voucher_ledger.metrics.ledger import LedgerCollector
from voucher_ledger.metrics.ledger_books import Position
from voucher_ledger.metrics.metric import Metric
from voucher_ledger.monitor import ledger as monitor_ledger

pytestmark = pytest.mark.integration

Read = dict[tuple[str, ...], float]
PLACE = ("claim.commands", 0)


def told(families: list[Family]) -> Read:
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def read_campaigns(ledger: Ledger) -> Read:
    connection = ledger.connection
    named = ledger_books.name_campaigns(connection)
    families = [ledger_books.unnamed(named)]
    for read in (ledger_books.campaigns, ledger_books.balances, ledger_books.waiting):
        families += read(connection, named)
    return told(families)


def figure(read: Read, metric: Metric, *labels: str) -> float:
    return read[metric.name, *labels]


def test_campaigns_past_the_bound_are_one_and_nothing_is_lost(ledger: Ledger) -> None:
    count = LEDGER_CAMPAIGNS_MAX + 4
    later = [rfc3339(START_MS + 3_600_000 * (number + 1)) for number in range(count)]
    opened = [
        campaign_open(campaign_id=f"c{number:02}", quota=number + 1, ends_at=later[number]) for number in range(count)
    ]
    ledger.begin().play([[step(0, "campaigns", one, offset=number) for number, one in enumerate(opened)]])
    read = read_campaigns(ledger)
    named = {key[1] for key in read if key[0] == catalogue.QUOTA.name}
    # Those that end last have their names; the first four are together.
    assert named == {f"c{number:02}" for number in range(4, count)} | {"other"}
    assert figure(read, catalogue.QUOTA, "other") == 1 + 2 + 3 + 4
    assert figure(read, catalogue.BUDGET, "other", "CNY") == 4 * FACE_MINOR
    assert figure(read, catalogue.VOUCHERS, "other", "pool") == 10
    for metric in (catalogue.VOUCHERS, catalogue.MONEY):
        assert sum(value for key, value in read.items() if key[0] == metric.name) == 0


def test_a_campaign_that_runs_is_named_however_many_are_to_come(ledger: Ledger) -> None:
    now_ms, day_ms = int(time.time() * 1_000), 86_400_000
    today = campaign_open(
        campaign_id="today", starts_at=rfc3339(now_ms - day_ms), ends_at=rfc3339(now_ms + day_ms), when_empty="queue"
    )
    to_come = [
        campaign_open(
            campaign_id=f"c{number:02}",
            starts_at=rfc3339(now_ms + day_ms * (2 + number)),
            ends_at=rfc3339(now_ms + day_ms * (3 + number)),
        )
        for number in range(monitor_ledger.CAMPAIGNS_MAX)
    ]
    opened = [step(0, "campaigns", one, offset=number) for number, one in enumerate([today, *to_come])]
    ledger.begin().play([opened])
    read = read_campaigns(ledger)
    for metric in (catalogue.QUOTA, catalogue.ENDS, catalogue.WAITING):
        assert (metric.name, "today") in read
        assert (metric.name, "c00") not in read
    assert (catalogue.VOUCHERS.name, "today", "pool") in read
    bounds = {"wanted": [], "count_max": monitor_ledger.CAMPAIGNS_MAX}
    monitored = ledger.connection.execute(monitor_ledger._CAMPAIGNS, bounds).fetchall()
    assert monitored[0][0] == "today"
    assert "c00" not in {row[0] for row in monitored}


def test_of_many_that_run_those_with_the_least_left_are_named(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flash sale that ends first was sold out, and had no series: so nobody was told that its budget was used."""
    monkeypatch.setattr(ledger_books, "LEDGER_CAMPAIGNS_MAX", 2)
    now_ms, hour_ms = int(time.time() * 1_000), 3_600_000
    opened = [
        campaign_open(
            campaign_id=name, quota=10, budget_minor=vouchers_paid * FACE_MINOR,
            ends_at=rfc3339(now_ms + hours * hour_ms),
        )
        for name, vouchers_paid, hours in (("flash", 10, 1), ("poor", 3, 2), ("long", 10, 9), ("longer", 10, 99))
    ]  # fmt: skip
    took = [("flash", "u-1"), ("flash", "u-2"), ("flash", "u-3"), ("poor", "u-4"), ("long", "u-5"), ("longer", "u-6")]
    ledger.begin().play(
        [
            [step(0, "campaigns", one, offset=number) for number, one in enumerate(opened)],
            [
                step(0, "claims", claim(f"c-{number}", user, campaign_id=name), offset=number)
                for number, (name, user) in enumerate(took)
            ],
        ]
    )
    read = read_campaigns(ledger)
    assert {key[1] for key in read if key[0] == catalogue.QUOTA.name} == {"flash", "poor", "other"}
    assert figure(read, catalogue.UNNAMED) == 2


def test_a_campaign_that_does_not_run_is_not_missed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_books, "LEDGER_CAMPAIGNS_MAX", 1)
    assert figure(read_campaigns(ledger.begin()), catalogue.UNNAMED) == 0
    over = [campaign_open(campaign_id=f"c{number}", ends_at=rfc3339(START_MS + 3_600_000)) for number in range(3)]
    ledger.begin().play([[step(0, "campaigns", one, offset=number) for number, one in enumerate(over)]])
    assert figure(read_campaigns(ledger), catalogue.UNNAMED) == 0


@pytest.mark.parametrize(
    ("tranche_hours", "released_hours"), [((-3, -1, 2, 3), -1), ((-3, -1), -1), ((2,), -4), ((), -4)]
)
def test_a_wait_can_be_counted_from_the_latest_release(
    ledger: Ledger, tranche_hours: tuple[int, ...], released_hours: int
) -> None:
    now_ms, hour_ms = int(time.time() * 1_000), 3_600_000
    release = [{"at": rfc3339(now_ms + hours * hour_ms), "quota": 1} for hours in tranche_hours]
    opening = campaign_open(
        quota=4,
        budget_minor=4 * FACE_MINOR,
        starts_at=rfc3339(now_ms - 4 * hour_ms),
        ends_at=rfc3339(now_ms + 9 * hour_ms),
        **({"release": release} if release else {}),
    )
    ledger.begin().play([[step(0, "campaigns", opening)]])
    read = read_campaigns(ledger)
    expected = (now_ms + released_hours * hour_ms) / 1_000
    assert figure(read, catalogue.RELEASED, "spring-1") == pytest.approx(expected, abs=0.002)
    to_come = [(now_ms + hours * hour_ms) / 1_000 for hours in tranche_hours if hours > 0][:1]
    told_next = [value for key, value in read.items() if key[0] == catalogue.NEXT_RELEASE.name]
    assert told_next == [pytest.approx(at, abs=0.002) for at in to_come]


def test_who_waits_is_told_and_nobody_is_zero(ledger: Ledger) -> None:
    ledger.begin().play(
        [
            [step(0, "campaigns", campaign_open(when_empty="queue"))],
            [step(0, "claims", claim(f"c-{number}", f"u-{number}"), offset=number) for number in range(4)],
        ]
    )
    read = read_campaigns(ledger)
    assert figure(read, catalogue.WAITING, "spring-1") == 3
    assert figure(read, catalogue.WAITING_AGE, "spring-1") >= time.time() - START_MS / 1000 - 60
    ledger.begin().play([[step(0, "campaigns", campaign_open())]])
    read = read_campaigns(ledger)
    assert figure(read, catalogue.WAITING, "spring-1") == figure(read, catalogue.WAITING_AGE, "spring-1") == 0


def test_positions_and_the_outbox_are_the_books(ledger: Ledger) -> None:
    claims = [step(0, "claims", claim(f"c-{number}", f"u-{number}"), offset=number) for number in range(3)]
    ledger.begin().play([[step(0, "campaigns", campaign_open())], claims])
    positions = ledger_books.read_positions(ledger.connection)
    assert positions[PLACE]._replace(epoch=0) == Position(3, 0, 3, 0, START_MS / 1000)
    read = told([*ledger_books.places(positions), *ledger_books.outbox(ledger.connection)])
    assert figure(read, catalogue.DECIDED, "claim.commands") == 3
    assert figure(read, catalogue.POSITION, "claim.commands", "0") == 3
    assert figure(read, catalogue.OUTBOX_RECORDS, "claim.commands") == 3
    assert figure(read, catalogue.OUTBOX_BATCHES, "claim.commands") == 1
    assert figure(read, catalogue.OUTBOX_BATCHES, "order.commands") == 0


def test_lag_is_the_shortest_of_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    now_seconds = [1_000.0]
    clock = SimpleNamespace(monotonic=lambda: now_seconds[0], time=lambda: now_seconds[0])
    monkeypatch.setattr(ledger_metrics, "time", clock)
    collector = LedgerCollector(cast("Any", SimpleNamespace(postgres="")))
    first_records_ms: dict[Place, int | None] = {}
    monkeypatch.setattr(collector, "_first_records_ms", lambda *_: first_records_ms)

    def lag(next_offset: int, end: int, record_time_seconds: float | None) -> tuple[float | None, float | None]:
        position = Position(next_offset, 1, next_offset, 0, record_time_seconds)
        read = told(collector._lags({PLACE: position}, {PLACE: end}))
        return read.get((catalogue.LAG_RECORDS.name, *PLACE[:1], "0")), read.get(
            (catalogue.LAG_SECONDS.name, *PLACE[:1], "0")
        )

    assert lag(0, 5, None) == (5, None)
    assert lag(2, 5, 940.0) == (3, 60)
    assert lag(5, 5, 940.0) == (0, 0)
    now_seconds[0] += 10
    # A record after an idle hour waits since the last look, not since the record before it.
    assert lag(5, 6, 940.0) == (1, 10)
    now_seconds[0] += 500
    assert lag(60, 90, 1_505.0) == (30, 5)
    assert lag(90, 90, 1_510.0) == (0, 0)
    now_seconds[0] += 35
    # Nobody scraped for 35 s, while a record came each second: the one in passing is not as old as that gap.
    assert lag(125, 126, 1_544.0) == (1, 1)
    now_seconds[0] += 10
    assert lag(136, 137, 1_554.5) == (1, 0.5)
    now_seconds[0] += 10
    # A position that stands still is looked behind, so the age of what waits there is known.
    first_records_ms[PLACE] = 1_558_000
    assert lag(136, 138, 1_554.5) == (2, 10.5), "its end has moved"
    assert lag(136, 138, 1_554.5) == (2, 7)
    now_seconds[0] += 10
    first_records_ms.clear()
    assert lag(136, 138, 1_554.5) == (2, 20.5), "Kafka did not answer in time"


def test_a_record_that_was_seen_to_wait_is_known_to_wait_where_nothing_was_decided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(monotonic=lambda: 1_000.0, time=lambda: 1_000.0)
    monkeypatch.setattr(ledger_metrics, "time", clock)
    collector = LedgerCollector(cast("Any", SimpleNamespace(postgres="")))
    monkeypatch.setattr(collector, "_first_records_ms", lambda *_: {PLACE: 940_000})
    name = (catalogue.LAG_SECONDS.name, PLACE[0], "0")
    looks = [told(collector._lags({}, {PLACE: 5})).get(name) for _ in range(2)]
    assert looks == [None, 60]


def test_what_a_transaction_leaves_behind_is_no_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked only of a partition that has not moved between two looks, and once for each of its ends."""
    collector = LedgerCollector(cast("Any", SimpleNamespace(postgres="")))
    asked: list[tuple[int, int]] = []
    left: dict[Place, int | None] = {PLACE: None}

    def first_records_ms(undecided: dict[Any, int], ends: dict[Any, int]) -> dict[Place, int | None]:
        asked.append((undecided[PLACE], ends[PLACE]))
        return left

    monkeypatch.setattr(collector, "_first_records_ms", first_records_ms)

    def lag(next_offset: int, end: int) -> tuple[float | None, float | None]:
        read = told(collector._lags({PLACE: Position(next_offset, 1, next_offset, 0, 1.0)}, {PLACE: end}))
        return read[catalogue.LAG_RECORDS.name, PLACE[0], "0"], read.get((catalogue.LAG_SECONDS.name, PLACE[0], "0"))

    assert lag(5, 6)[0] == 1
    assert [lag(5, 6), lag(5, 6)] == [(0, 0), (0, 0)]
    assert asked == [(5, 6)]
    assert lag(5, 8)[0] == 3, "it has grown: by work, for all that is known"
    left[PLACE] = 1_000
    assert [lag(5, 8)[0], lag(5, 8)[0]] == [3, 3]
    assert asked == [(5, 6), (5, 8), (5, 8)]

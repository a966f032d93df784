"""Metrics: named as Prometheus wants it, bounded, and counted from what was decided."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaException
from prometheus_client import CollectorRegistry

from tests.unit.given import NOW_MS
from voucher_ledger.core.demand import Tally
from voucher_ledger.core.records import Command, Event
from voucher_ledger.metrics import catalogue, latency, ledger, ledger_books, room
from voucher_ledger.metrics.labels import CAMPAIGNS_MAX
from voucher_ledger.metrics.ledger import LedgerCollector
from voucher_ledger.metrics.ledger_audit import LedgerAudit
from voucher_ledger.metrics.ledger_books import Named, Position
from voucher_ledger.metrics.metric import Metric
from voucher_ledger.metrics.observer import Laps
from voucher_ledger.metrics.readiness import Readiness
from voucher_ledger.metrics.registry import process_registry
from voucher_ledger.metrics.room import RoomMetrics
from voucher_ledger.monitor.metrics import CATALOGUE as MONITOR
from voucher_ledger.monitor.metrics import PREFIX
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.errors import Fenced, SessionLost, TakenOver
from voucher_ledger.runtime.outbox import DeadLetter, Share
from voucher_ledger.runtime.settings import Settings

UNITS = ("_seconds", "_minor", "_records", "_vouchers", "_batches", "_users", "_checks", "_rows", "_campaigns")
UNITLESS = (
    catalogue.BUILD, catalogue.READY, catalogue.LEDGER_UP, catalogue.OPEN, catalogue.POSITION, catalogue.EPOCH,
)  # fmt: skip
LABELS_THAT_GROW = {"user", "user_id", "merchant", "merchant_id", "voucher_id", "order_id", "instance", "id"}


@pytest.fixture
def registry() -> CollectorRegistry:
    """Where the metrics of a test are."""
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> RoomMetrics:
    """An orders room's, at NOW_MS."""
    monkeypatch.setattr(room, "time", SimpleNamespace(time_ns=lambda: NOW_MS * 1_000_000))
    return RoomMetrics("orders", registry, Readiness())


def value(registry: CollectorRegistry, metric: Metric, suffix: str = "", **labels: str) -> float | None:
    return registry.get_sample_value(f"{metric.name}{suffix}", {"room": "orders", **labels})


def decided(metrics: RoomMetrics, *events: Event, letters: int = 0, time_ms: int = NOW_MS) -> list[Share]:
    share = Share(0, 0, len(events) + letters)
    share.events = [b"{}" for _ in events]
    share.dead_letters = [DeadLetter(0, 0, None, None, [], "not JSON: the value is empty") for _ in range(letters)]
    tally = Tally("order.commands", 0, 0)
    for number, event in enumerate(events):
        tally.add(number, time_ms, event)
    share.sum_up(tally)
    commands = [Command("order.reserve", "c", {}, 0, number, time_ms) for number in range(len(events))]
    metrics.decided(commands, [share], Laps())
    return [share]


def reserved(campaign_id: str = "spring", category: str = "tea", **data: Any) -> Event:
    return Event(
        "order.reserved", {"campaign_id": campaign_id, "category": category, "city_tier": 3, "amount_minor": 7, **data}
    )


def refused(category: str, reason: str = "voucher_used") -> Event:
    return Event("order.rejected", {"category": category, "reason": reason, "amount_minor": 5})


def test_names_are_prometheus_and_labels_are_bounded() -> None:
    assert len({metric.name for metric in catalogue.CATALOGUE}) == len(catalogue.CATALOGUE)
    for metric in catalogue.CATALOGUE:
        assert re.fullmatch(r"voucher_ledger_[a-z]+(_[a-z]+)*", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.name.endswith(UNITS) or metric.kind == "counter" or metric in UNITLESS, metric.name
        assert metric.help.endswith("."), metric.name
        assert not set(metric.labels) & LABELS_THAT_GROW
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(metric.buckets)


def test_a_room_and_the_ledgers_reader_serve_the_catalogue_and_nothing_else() -> None:
    registry = process_registry("orders", Readiness())
    RoomMetrics("orders", registry, Readiness())
    nobody = cast("Any", SimpleNamespace(postgres=""))
    served = [*registry.collect(), *LedgerCollector(nobody).describe(), *LedgerAudit(nobody).describe()]
    names = {family.name for family in served}
    known = {name for name in names if name.startswith(catalogue.PREFIX)}
    assert known == {metric.name.removesuffix("_total") for metric in catalogue.CATALOGUE}
    assert {"process_cpu_seconds", "python_gc_collections"} <= names


def test_without_kafka_the_ledgers_reader_still_tells_what_postgres_said(monkeypatch: pytest.MonkeyPatch) -> None:
    collector = LedgerCollector(cast("Any", SimpleNamespace(postgres="")))
    balance = ledger_books.family(catalogue.VOUCHERS)
    balance.add_metric(("spring", "pool"), 7)
    monkeypatch.setattr(ledger_books, "name_campaigns", lambda _: Named([], 0))
    for name in ("campaigns", "waiting", "outbox"):
        monkeypatch.setattr(ledger_books, name, lambda *_: [])
    monkeypatch.setattr(ledger_books, "balances", lambda *_: [balance])
    place = ("claim.commands", 0)
    monkeypatch.setattr(ledger_books, "read_positions", lambda _: {place: Position(3, 1, 3, 0, None)})
    monkeypatch.setattr(postgres, "try_lock", lambda *_: True)
    monkeypatch.setattr(collector._connection, "get", object)
    monkeypatch.setattr(collector, "_ends", lambda: {place: 5})
    monkeypatch.setattr(collector, "_first_records_ms", lambda *_: {})
    now_seconds = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now_seconds[0], time=lambda: 0.0)
    monkeypatch.setattr(ledger, "time", clock)

    def told() -> dict[str, float]:
        now_seconds[0] += ledger.LOOK_SECONDS
        return {sample.name: sample.value for family in collector.collect() for sample in family.samples}

    assert (told()[catalogue.LEDGER_UP.name], told()[catalogue.LAG_RECORDS.name]) == (1, 2)

    def away() -> dict[tuple[str, int], int]:
        raise KafkaException("no broker")

    monkeypatch.setattr(collector, "_ends", away)
    found = told()
    assert (found[catalogue.LEDGER_UP.name], found[catalogue.VOUCHERS.name], found[catalogue.POSITION.name]) == (
        0,
        7,
        3,
    )
    assert catalogue.LAG_RECORDS.name not in found


def test_outcomes_are_counted_by_what_they_were(metrics: RoomMetrics, registry: CollectorRegistry) -> None:
    decided(metrics, reserved(), reserved(category="hotel"), reserved(duplicate=True), refused("tea"), letters=2)
    assert value(registry, catalogue.COMMANDS, type="order.reserve") == 4
    assert value(registry, catalogue.OUTCOMES, type="order.reserved", reason="", campaign="spring") == 2
    assert value(registry, catalogue.OUTCOMES, type="order.reserved", reason="duplicate", campaign="spring") == 1
    assert value(registry, catalogue.OUTCOMES, type="order.rejected", reason="voucher_used", campaign="") == 1
    place = {"type": "order.reserved", "campaign": "spring", "city_tier": "3"}
    assert value(registry, catalogue.SEGMENTS, category="hotel", **place) == 1
    assert value(registry, catalogue.VALUE, type="order.reserved", campaign="spring") == 14
    assert value(registry, catalogue.DEAD_LETTERS, reason="not_json") == 2
    assert value(registry, catalogue.BATCHES, "_sum") == 6


def test_latency_is_a_records_each(metrics: RoomMetrics, registry: CollectorRegistry) -> None:
    shares = decided(metrics, reserved(), time_ms=NOW_MS - 40)
    shares += decided(metrics, reserved(), reserved(), time_ms=NOW_MS - 3_000)
    metrics.published(1, shares, 0.01)
    for metric in (catalogue.TO_COMMIT, catalogue.TO_PUBLISHED):
        assert value(registry, metric, "_bucket", le="0.025") == 0
        assert value(registry, metric, "_bucket", le="0.05") == 1
        assert value(registry, metric, "_bucket", le="2.0") == 1
        assert value(registry, metric, "_bucket", le="5.0") == 3
        assert (value(registry, metric, "_count"), value(registry, metric, "_sum")) == (3, 6.04)
    assert value(registry, catalogue.PUBLISHED) == 3


def test_a_latency_of_anothers_clock_is_none_and_the_edge_belongs_to_its_bucket() -> None:
    histogram = latency.LatencyHistogram(catalogue.TO_COMMIT, ("claims",))
    histogram.observe([NOW_MS - 10, NOW_MS + 500], NOW_MS)
    (family,) = histogram.collect()
    found = {sample.labels.get("le", sample.name.rpartition("_")[2]): sample.value for sample in family.samples}
    assert (found["0.01"], found["+Inf"], found["count"], found["sum"]) == (2, 2, 2, 0.01)


def test_made_up_categories_and_campaigns_past_the_bound_are_other(
    metrics: RoomMetrics, registry: CollectorRegistry
) -> None:
    decided(metrics, *[refused(f"made up {number}") for number in range(500)])
    assert (
        value(registry, catalogue.SEGMENTS, type="order.rejected", campaign="", category="other", city_tier="") == 500
    )
    decided(metrics, *[reserved(campaign_id=f"c{number:03}") for number in range(CAMPAIGNS_MAX + 3)])
    place = {"type": "order.reserved", "reason": "", "campaign": "other"}
    assert value(registry, catalogue.OUTCOMES, **place) == 3
    series = [sample for family in registry.collect() for sample in family.samples]
    assert len(series) < 300


def test_a_lost_session_is_counted_by_who_ended_it(metrics: RoomMetrics, registry: CollectorRegistry) -> None:
    for error in (SessionLost("x"), TakenOver("x"), Fenced("x"), Fenced("y")):
        metrics.session_lost(error)
    assert value(registry, catalogue.SESSIONS_LOST, cause="lost") == 1
    assert value(registry, catalogue.SESSIONS_LOST, cause="fenced_by_ledger") == 1
    assert value(registry, catalogue.SESSIONS_LOST, cause="fenced_by_kafka") == 2
    assert metrics._readiness.verdict() == (False, "not ready: the session was lost: y")


def test_the_docs_tell_of_every_metric_in_the_catalogues_words() -> None:
    """Those of the monitor too: it has a catalogue of its own."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "METRICS.md").read_text(encoding="utf-8")
    told = [line for line in text.splitlines() if line.startswith("| `voucher_ledger_")]
    assert told == [
        *(f"| `{metric.name}` | {', '.join(metric.labels)} | {metric.help} |" for metric in catalogue.CATALOGUE),
        *(f"| `{PREFIX}_{entry.name}` | {', '.join(entry.labels)} | {entry.help}. |" for entry in MONITOR),
    ]


def test_what_was_not_seen_to_wait_is_no_lag_of_yesterday(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the last record of each partition lies the marker of a transaction; of one, a record too."""
    collector = LedgerCollector(Settings(kafka="nowhere:1", postgres="dbname=nowhere"))
    known: dict[tuple[str, int], int | None] = {}
    monkeypatch.setattr(collector, "_first_records_ms", lambda _undecided, _ends: known)
    positions = {("order.commands", number): Position(10, 1, 10, 0, 1_000.0) for number in (0, 1)}
    ends = {("order.commands", 0): 11, ("order.commands", 1): 12}

    def told() -> dict[str, float]:
        seconds = collector._lags(positions, ends)[1]
        return {sample.labels["partition"]: sample.value for sample in seconds.samples}

    assert told() == {}  # nothing is known yet
    assert told() == {}  # the look at the topics' ends was not answered in time
    known |= {("order.commands", 0): None, ("order.commands", 1): 2_000}
    seconds = told()
    assert seconds["0"] == 0.0
    assert seconds["1"] > 1_000_000

"""A Postgres that hangs is told as that by the ledger's metrics, before a scrape gives up."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml
from prometheus_client import Metric as Family

from tests.property.by_hand import campaign_open, step
from tests.property.deciding import Ledger
from voucher_ledger.metrics import catalogue
from voucher_ledger.metrics import ledger as ledger_metrics
from voucher_ledger.metrics.ledger import ENDS_SECONDS_MAX, POSTGRES_SECONDS_MAX, TAILS_SECONDS_MAX, LedgerCollector
from voucher_ledger.runtime.settings import load

pytestmark = pytest.mark.integration

PROMETHEUS = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "prometheus.yml"
# Many times what a look may take, and far below what Postgres would wait.
WAIT_SECONDS_MAX = 20.0


@pytest.fixture
def collector(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[LedgerCollector]:
    """One that looks anew at each scrape, and asks no Kafka."""
    monkeypatch.setattr(ledger_metrics, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(LedgerCollector, "_ends", lambda _self: {})
    ledger.begin().play([[step(0, "campaigns", campaign_open())]])
    made = LedgerCollector(load({"VOUCHER_LEDGER_KAFKA": "127.0.0.1:1", "VOUCHER_LEDGER_POSTGRES": ledger.dsn}))
    yield made
    made.close()


def read_up(collector: LedgerCollector) -> float | None:
    """What a scrape says of the reading; None where it has no answer while somebody waits."""
    answered: list[Family] = []
    scrape = threading.Thread(target=lambda: answered.extend(collector.collect()), daemon=True)
    scrape.start()
    scrape.join(WAIT_SECONDS_MAX)
    found = [
        sample.value for family in answered for sample in family.samples if sample.name == catalogue.LEDGER_UP.name
    ]
    return found[0] if found else None


def test_a_statement_that_is_never_answered_is_told(collector: LedgerCollector) -> None:
    assert read_up(collector) == 1
    # What would cut a connection that hangs is called off where it answered: the next look would find it dead.
    assert all(one.finished.is_set() for one in threading.enumerate() if isinstance(one, threading.Timer))
    backend = collector._connection.get().info.backend_pid
    os.kill(backend, signal.SIGSTOP)
    try:
        assert read_up(collector) == 0
    finally:
        os.kill(backend, signal.SIGCONT)


def test_connecting_and_each_statement_are_bounded_too(
    collector: LedgerCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, object]] = []
    connect = psycopg.connect

    def noted(*arguments: object, **options: object) -> psycopg.Connection:
        asked.append(options)
        return connect(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(psycopg, "connect", noted)
    assert read_up(collector) == 1
    (options,) = asked
    assert options["connect_timeout"] == POSTGRES_SECONDS_MAX
    assert f"statement_timeout={POSTGRES_SECONDS_MAX * 1_000}" in str(options["options"])


def test_a_look_that_fails_is_answered_before_a_scrape_gives_up() -> None:
    timeout = yaml.safe_load(PROMETHEUS.read_text(encoding="utf-8"))["global"]["scrape_timeout"]
    assert max(POSTGRES_SECONDS_MAX, 2 * ENDS_SECONDS_MAX + TAILS_SECONDS_MAX) < float(timeout.removesuffix("s"))

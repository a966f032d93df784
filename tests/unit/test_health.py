"""What a process says of itself on its port: alive, ready or why not, and its metrics."""

import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from voucher_ledger.metrics import catalogue, readiness
from voucher_ledger.metrics.readiness import Readiness
from voucher_ledger.metrics.registry import process_registry
from voucher_ledger.metrics.room import RoomMetrics
from voucher_ledger.metrics.server import MetricsServer
from voucher_ledger.metrics.serving import serving
from voucher_ledger.run.supervisor import Worker, _with_ports
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.settings import Settings, SettingsError


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock of readiness, in seconds."""
    now_seconds = [0.0]
    monkeypatch.setattr(readiness, "time", SimpleNamespace(monotonic=lambda: now_seconds[0]))

    def set_clock(seconds: float) -> None:
        now_seconds[0] = seconds

    return set_clock


def test_a_process_is_ready_while_it_turns_and_publishes(at: Callable[[float], None]) -> None:
    state = Readiness()
    assert state.verdict() == (False, "not ready: starting")
    state.ready("claim.commands [0]")
    assert state.verdict() == (True, "ready: claim.commands [0]")
    at(16)
    assert state.verdict()[1].startswith("stuck: the loop has not turned for 16 s")
    state.turned()
    state.submitted()
    state.submitted()
    at(31)
    state.turned()
    assert state.verdict()[0]
    at(32)
    assert state.verdict() == (False, "stuck: 2 batches are decided, and none was published for 16 s")
    state.published(1)
    assert state.verdict()[0]
    at(48)
    state.turned()
    assert not state.verdict()[0]
    state.nothing_waits()
    assert state.verdict()[0]
    state.not_ready("no partitions: lost")
    assert state.verdict() == (False, "not ready: no partitions: lost")


def test_a_lock_is_told_while_the_statement_still_waits_for_it() -> None:
    """When Postgres ends the statement the session is lost and begun anew: ready again, and it waits again."""
    assert readiness.STUCK_SECONDS * 1_000 <= postgres._STATEMENT_MS_MAX / 2


def test_a_process_whose_loop_hangs_for_good_does_not_live(at: Callable[[float], None]) -> None:
    state = Readiness()
    at(readiness.DEAD_SECONDS)
    assert state.alive() == (True, "alive")
    at(readiness.DEAD_SECONDS + 1)
    assert state.alive() == (False, "hangs: the loop has not turned for 331 s: start the process again")
    state.turned()
    assert state.alive()[0]


@pytest.fixture
def served() -> Iterator[tuple[MetricsServer, Readiness]]:
    """A server of a room's metrics on a port that was free."""
    state = Readiness()
    registry = process_registry("orders", state)
    RoomMetrics("orders", registry, state)
    server = MetricsServer(0, registry, state)
    yield server, state
    server.close()


def get(server: MetricsServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_port_tells_health_readiness_and_metrics(
    served: tuple[MetricsServer, Readiness], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, state = served
    assert get(server, "/healthz") == (200, "alive\n")
    monkeypatch.setattr(readiness, "DEAD_SECONDS", -1.0)
    status, why = get(server, "/healthz")
    assert (status, why.split(":")[0]) == (503, "hangs")
    assert get(server, "/readyz") == (503, "not ready: starting\n")
    state.ready("order.commands [1]")
    assert get(server, "/readyz") == (200, "ready: order.commands [1]\n")
    assert get(server, "/secret")[0] == 404
    status, text = get(server, "/metrics")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert status == 200
    assert families[catalogue.READY.name].samples[0].value == 1
    with pytest.raises(SettingsError, match=f"VOUCHER_LEDGER_METRICS_PORT: port {server.port}"):
        MetricsServer(server.port, CollectorRegistry(), state)


def test_run_all_gives_each_process_a_port_or_none() -> None:
    def crew() -> list[Worker]:
        return [Worker("campaigns", "campaigns-0"), Worker("claims", "claims-0"), Worker("sweeper", None)]

    assert [worker.metrics_port for worker in _with_ports(crew(), 9_100)] == [9_100, 9_101, 9_102]
    assert [worker.metrics_port for worker in _with_ports(crew(), 0)] == [0, 0, 0]
    with pytest.raises(SettingsError, match="3 processes need as many ports from 65534 on"):
        _with_ports(crew(), 65_534)


def test_the_log_says_whose_metrics_a_port_serves() -> None:
    with socket.create_server(("", 0)) as held:
        port = int(held.getsockname()[1])
    settings = Settings(kafka="nowhere:1", postgres="dbname=nowhere", metrics_port=port)
    with capture_logs() as told, serving(settings, "claims", "claims-3"):
        assert told[0]["event"] == "serving metrics"
        assert (told[0]["room"], told[0]["instance"], told[0]["port"]) == ("claims", "claims-3", port)


def test_a_scraper_that_went_away_is_one_line(
    served: tuple[MetricsServer, Readiness], capsys: pytest.CaptureFixture[str]
) -> None:
    with capture_logs() as lines:
        try:
            raise BrokenPipeError
        except BrokenPipeError:
            served[0]._server.handle_error(object(), ("10.0.0.1", 7))
    assert [(line["event"], line["cause"]) for line in lines] == [("a request for metrics failed", "BrokenPipeError()")]
    assert capsys.readouterr().err == ""

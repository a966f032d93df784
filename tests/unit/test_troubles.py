"""What a Kafka client complains of is told once, and keeps its reason."""

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from voucher_ledger.runtime import troubles

REFUSED = KafkaError(KafkaError._TRANSPORT, "127.0.0.1:1/bootstrap: Connection refused")
ALL_DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")


def test_a_broker_that_stays_away_is_told_once_and_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("voucher_ledger.runtime.troubles.time.monotonic", lambda: now[0])
    told = troubles.Troubles("claims-0")
    with capture_logs() as lines:
        for _ in range(20):
            told(ALL_DOWN)
            told(REFUSED)
        now[0] = troubles.TOLD_AGAIN_SECONDS
        told(ALL_DOWN)
        told(REFUSED)
    warnings = [line for line in lines if line["log_level"] == "warning"]
    assert len(warnings) == 2
    assert {line["cause"] for line in warnings} == {REFUSED.str()}


def test_one_broker_of_several_is_no_warning() -> None:
    with capture_logs() as lines:
        troubles.Troubles("claims-0")(REFUSED)
    assert [line for line in lines if line["log_level"] != "debug"] == []


def test_a_tool_logs_nothing_and_keeps_the_reason() -> None:
    told = troubles.Troubles()
    with capture_logs() as lines:
        told(REFUSED)
        told(ALL_DOWN)
    assert lines == []
    assert "Connection refused" in told.last

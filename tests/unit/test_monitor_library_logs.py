"""What aiokafka and Faust log while Kafka is away: told, and no flood."""

import logging
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from voucher_ledger.monitor import library_logs
from voucher_ledger.runtime.troubles import TOLD_AGAIN_SECONDS


@pytest.fixture(autouse=True)
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The root logger as the monitor has it, and as it was afterwards."""
    root, timers = logging.getLogger(), logging.getLogger("mode.timers")
    level, timers_level = root.level, timers.level
    monkeypatch.setattr(root, "handlers", [])
    library_logs.take()
    yield
    root.setLevel(level)
    timers.setLevel(timers_level)


def away(count: int) -> None:
    for number in range(count):
        logging.getLogger("aiokafka").error("Unable connect to node with id %s: refused", number)
        logging.getLogger("aiokafka.cluster").error("Unable to update metadata from %s", [number])
        logging.getLogger("faust.app").error("something else, %s", number)


def test_a_kafka_that_is_away_is_told_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("voucher_ledger.monitor.library_logs.time.monotonic", lambda: now[0])
    with capture_logs() as lines:
        away(50)
        now[0] += TOLD_AGAIN_SECONDS
        away(2)
    told = [(line["event"], line.get("left_out")) for line in lines if line["logger"].startswith("aiokafka")]
    assert told == [
        ("Unable connect to node with id 0: refused", None),
        ("Unable to update metadata from [0]", None),
        ("Unable connect to node with id 0: refused", 49),
        ("Unable to update metadata from [0]", 49),
    ]
    assert len([line for line in lines if line["logger"] == "faust.app"]) == 52, "of others nothing is left out"

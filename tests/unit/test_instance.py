"""A name that another process has is waited for, and said to be."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from voucher_ledger.runtime import postgres, processor, settings
from voucher_ledger.runtime.processor import Instance, InstanceTaken

NOWHERE = settings.load({"VOUCHER_LEDGER_KAFKA": "127.0.0.1:1", "VOUCHER_LEDGER_POSTGRES": "host=127.0.0.1 port=1"})


class Connection:
    """A connection that can only be closed."""

    def close(self) -> None:
        pass


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that are refused, each as often as it is in the list."""
    refused: list[str] = []

    def try_lock(_connection: Any, name: str) -> bool:
        if name not in refused:
            return True
        refused.remove(name)
        return False

    monkeypatch.setattr(postgres, "connect", lambda *_positional, **_named: Connection())
    monkeypatch.setattr(postgres, "try_lock", try_lock)
    monkeypatch.setattr(processor, "NAME_RETRY_SECONDS", 0)
    return refused


def test_the_wait_for_a_name_is_told_once_and_at_once(refusals: list[str]) -> None:
    refusals += ["voucher-ledger-instance/claims-0"] * 3
    with capture_logs() as lines:
        assert Instance(NOWHERE, "claims", "claims-0").name == "claims-0"
    (line,) = lines
    assert (line["log_level"], line["instance"]) == ("warning", "claims-0")
    assert line["seconds_max"] == processor.NAME_SECONDS_MAX
    assert "waiting" in line["event"]


def test_a_free_name_is_taken_silently(refusals: list[str]) -> None:
    refusals += ["voucher-ledger-instance/claims-0"]
    with capture_logs() as lines:
        assert Instance(NOWHERE, "claims", None).name == "claims-1"
    assert lines == []


def test_a_name_that_stays_taken_is_told_after_the_wait(refusals: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "NAME_SECONDS_MAX", 0.5)
    refusals += ["voucher-ledger-instance/claims-0"] * 1_000_000
    with capture_logs() as lines, pytest.raises(InstanceTaken, match="another process runs as claims-0"):
        Instance(NOWHERE, "claims", "claims-0")
    assert len(lines) == 1

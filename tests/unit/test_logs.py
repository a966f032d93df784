"""Logs outlive the stream that was there when they were set up."""

import io
import sys

import pytest
import structlog

from voucher_ledger.runtime import logs


def test_a_closed_stream_that_was_replaced_ends_nobody_who_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    try:
        monkeypatch.setattr(sys, "stderr", first)
        logs.configure()
        first.close()
        monkeypatch.setattr(sys, "stderr", second)
        structlog.get_logger().info("sweeping")
        assert "sweeping" in second.getvalue()
    finally:
        structlog.reset_defaults()

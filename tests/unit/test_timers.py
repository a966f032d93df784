"""What takes too long is told by looks that are counted, not by a clock: a process may have been frozen meanwhile."""

import threading

import pytest

from voucher_ledger.runtime import timers


def test_each_look_waits_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    done, waited = threading.Event(), []

    class Ended(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            if timeout is None:
                return super().wait()  # a thread's own
            waited.append(timeout)
            return False

    monkeypatch.setattr("voucher_ledger.runtime.timers.threading.Event", Ended)
    with timers.unless_ended_within(2.5, done.set):
        assert done.wait(10)
    assert waited == [2.5 / 3] * 3


def test_nothing_is_done_where_it_ends_in_time() -> None:
    done = threading.Event()
    with timers.unless_ended_within(60, done.set):
        pass
    assert not done.is_set()

"""What a signal ended holds nothing once its command is over."""

import gc
import os
import signal
import weakref

import pytest

from voucher_ledger.run import interrupts


def test_what_a_signal_ended_is_let_go_with_the_command() -> None:
    """An exception that is kept keeps its frames, and with them clients and streams, to the end of the process."""

    class Client:
        """Something that ends when nobody holds it."""

    def work() -> None:
        client = Client()
        held.append(weakref.ref(client))
        os.kill(os.getpid(), signal.SIGINT)

    held: list[weakref.ref[Client]] = []
    with pytest.raises(KeyboardInterrupt), interrupts.ended_by_signals():
        work()
    gc.collect()
    assert [client() for client in held] == [None]

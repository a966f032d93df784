"""One room in this process."""

import signal
import threading

from voucher_ledger.metrics.serving import serving
from voucher_ledger.run.rooms import ROOMS
from voucher_ledger.runtime import processor
from voucher_ledger.runtime.settings import Settings


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set: work then ends with the batch in hand."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    return stopping


def run(settings: Settings, room: str, instance: str | None) -> None:
    """Run `room` until a signal; raises as voucher_ledger.runtime.processor.run does."""
    stopping = stop_on_signals()
    with serving(settings, room) as observer:
        processor.run(settings, ROOMS[room](settings), stopping, instance=instance, observer=observer)

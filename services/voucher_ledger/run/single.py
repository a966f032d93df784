"""One room in this process."""

import signal
import threading
from types import FrameType

from voucher_ledger.metrics.serving import serving
from voucher_ledger.run.rooms import ROOMS
from voucher_ledger.runtime import processor
from voucher_ledger.runtime.settings import Settings


class Stopping(threading.Event):
    """Set where work is to end; `told_by` names the signal that said so first."""

    told_by: str | None = None


def stop_on_signals() -> Stopping:
    """An event that SIGTERM and SIGINT set: work then ends with the batch in hand."""
    stopping = Stopping()

    def stop(number: int, _frame: FrameType | None) -> None:
        # Told to the log by whoever waits: it may be writing just now.
        stopping.told_by = stopping.told_by or signal.Signals(number).name
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


def run(settings: Settings, room: str, instance: str | None) -> None:
    """Run `room` until a signal; raises as voucher_ledger.runtime.processor.run does."""
    stopping = stop_on_signals()
    with serving(settings, room, instance) as observer:
        processor.run(settings, ROOMS[room](settings), stopping, instance=instance, observer=observer)

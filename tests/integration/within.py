"""A processor within the test's own process: one of its own would start for a second of CPU time."""

import gc
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from structlog.testing import capture_logs

from voucher_ledger.run.rooms import ROOMS
from voucher_ledger.runtime import processor
from voucher_ledger.runtime.settings import Settings


@contextmanager
def processor_within(settings: Settings, room: str, instance: str | None = None) -> Iterator[Future[None]]:
    """Run a room until the body ends; the future is its own end, which is awaited then."""
    stopping, thresholds = Event(), gc.get_threshold()
    with capture_logs(), ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(processor.run, settings, ROOMS[room](settings), stopping, instance=instance)
        finally:
            stopping.set()
            pool.shutdown()
            # What a processor sets for its own good is not for the tests.
            gc.unfreeze()
            gc.set_threshold(*thresholds)

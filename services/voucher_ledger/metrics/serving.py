"""Metrics for the length of a process, or none."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from voucher_ledger.metrics.ledger import LedgerCollector
from voucher_ledger.metrics.ledger_audit import LedgerAudit
from voucher_ledger.metrics.observer import Observer
from voucher_ledger.metrics.readiness import Readiness
from voucher_ledger.metrics.registry import process_registry
from voucher_ledger.metrics.room import ProcessMetrics, RoomMetrics
from voucher_ledger.metrics.server import MetricsServer
from voucher_ledger.runtime.settings import Settings

# The sweepers' processes are idle most of the time, so they read and audit the ledger for all.
LEDGER_READER = "sweeper"

log = structlog.get_logger()


@contextmanager
def serving(settings: Settings, room: str, instance: str | None = None) -> Iterator[Observer]:
    """Serve the metrics of this process, which runs `room` (as `instance`, where a name was given), and hand out what
    counts them; without a port nothing is.

    Raises SettingsError where the port is taken.
    """
    if settings.metrics_port == 0:
        yield Observer()
        return
    readiness = Readiness()
    registry = process_registry(room, readiness)
    readers: list[LedgerCollector | LedgerAudit] = []
    if room == LEDGER_READER:
        audit = LedgerAudit(settings)
        readers = [LedgerCollector(settings), audit]
        for reader in readers:
            registry.register(reader)
        audit.start()
    kind = ProcessMetrics if room == LEDGER_READER else RoomMetrics
    observer = kind(room, registry, readiness)
    try:
        server = MetricsServer(settings.metrics_port, registry, readiness)
        log.info("serving metrics", room=room, instance=instance, port=server.port)
        try:
            yield observer
        finally:
            server.close()
    finally:
        for reader in readers:
            reader.close()

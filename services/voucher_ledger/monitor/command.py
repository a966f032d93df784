"""What `voucher-ledger run monitor` does."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import faust
import structlog
from aiokafka.errors import KafkaError
from mode.exceptions import MaxRestartsExceeded

from voucher_ledger.monitor import library_logs, metrics, web
from voucher_ledger.monitor.alert_log import ALERTS_TOPIC, read_standing
from voucher_ledger.monitor.alert_records import Record
from voucher_ledger.monitor.crossing import CrossingReader
from voucher_ledger.monitor.faust_app import DemandApp
from voucher_ledger.monitor.ledger import LedgerReader
from voucher_ledger.monitor.single import OneMonitor
from voucher_ledger.monitor.watch import Watch
from voucher_ledger.runtime import topics
from voucher_ledger.runtime.errors import SessionLost, Unreachable
from voucher_ledger.runtime.settings import Settings

STOP_SECONDS_MAX = 20.0

log = structlog.get_logger()


def run(settings: Settings) -> None:
    """Run the monitor until SIGTERM or Ctrl-C.

    Raises:
        SettingsError: the address is taken, or a security setting has no counterpart in Faust's client.
        InstanceTaken: another monitor runs on this ledger.
        NotSetUp: topics, tables or the reader's role are not there.
        Unreachable: Kafka or Postgres does not answer at the start.
        SessionLost: Faust ended by itself.
    """
    library_logs.take()
    topics.describe(settings, ALERTS_TOPIC)
    turn = OneMonitor(settings)
    reader, crossing = LedgerReader(settings), CrossingReader(settings)
    try:
        standing = read_standing(settings)
        first = reader.read()
        source = DemandApp(settings)
        watch = Watch(source, reader.read, _teller(source), standing, crossing.count)
        watch.reading = first
        asyncio.run(_run(settings, source, watch, turn))
    finally:
        turn.close()
        reader.close()
        crossing.close()


async def _run(settings: Settings, source: DemandApp, watch: Watch, turn: OneMonitor) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    runner = await web.serve(web.application(watch, metrics.registry(watch, source.store)), settings.monitor_address)
    log.info("monitor started", page=f"http://{settings.monitor_address}/")
    try:
        await _until_first(
            stopping.wait(), _until_stopped(source.app), watch.rounds(), watch.readings(), watch.crossing.counts(),
            source.flushes(), turn.keep(),
        )  # fmt: skip
        if not stopping.is_set():
            reason = source.app.crash_reason
            raise SessionLost(f"Faust ended: {type(reason).__name__}: {reason}")
    except (KafkaError, MaxRestartsExceeded) as error:
        raise Unreachable(f"Kafka at {settings.kafka}: {type(error).__name__}: {error}") from error
    finally:
        await runner.cleanup()
        source.flush()
        await asyncio.wait_for(source.app.stop(), STOP_SECONDS_MAX)
    log.info("monitor stopped")


async def _until_stopped(app: faust.App) -> None:
    """Start Faust, which may take minutes: it returns only once the table is recovered. Then wait for its end."""
    await app.start()
    await app.wait_until_stopped()


async def _until_first(*works: Awaitable[Any]) -> None:
    """Until the first ends, and raise what it raised; the others are cancelled."""
    tasks = [asyncio.ensure_future(work) for work in works]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        task.result()


def _teller(source: DemandApp) -> Callable[[Record], Awaitable[None]]:
    topic = source.app.topic(
        ALERTS_TOPIC, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )

    async def tell(record: Record) -> None:
        await (await topic.send(key=record.key, value=record.value))

    return tell

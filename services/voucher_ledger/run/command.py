"""What `voucher-ledger run` does."""

import structlog

from voucher_ledger.metrics.serving import serving
from voucher_ledger.run import single, supervisor
from voucher_ledger.run.exit_codes import INTERRUPTED, ExitCode
from voucher_ledger.run.failures import FAILURES, code_of, text_of
from voucher_ledger.runtime import logs, settings
from voucher_ledger.sweeper import loop

log = structlog.get_logger()


def run(process: str, *, instance: str | None = None, claims: int = 1, monitor: bool = True) -> int:
    """Run one room, `sweeper`, `monitor`, or `all` with so many processes of `claims` and with the `monitor` or
    without, until a signal; the exit code.

    Where logs are JSON, what ends it is a log record too: a plain line, or a traceback's many, would be lost on whoever
    reads records. On a terminal it is raised, for the command line to tell.
    """
    try:
        return _run(process, instance, claims, monitor)
    except FAILURES as error:
        if not logs.are_json():
            raise
        code = code_of(error)
        log.error("ended by an error", process=process, cause=text_of(error), exit_code=int(code))
        return code
    except KeyboardInterrupt:  # before it ran: from then on a signal is no error
        if not logs.are_json():
            raise
        log.warning("interrupted", process=process, exit_code=INTERRUPTED)
        return INTERRUPTED
    except Exception:
        if not logs.are_json():
            raise
        log.exception("ended by a mistake in the program", process=process, exit_code=int(ExitCode.CHECK_FAILED))
        return ExitCode.CHECK_FAILED


def _run(process: str, instance: str | None, claims: int, with_monitor: bool) -> int:
    loaded = settings.load()
    if process == "all":
        counts = {"campaigns": 1, "claims": claims, "orders": 1, "payments": 1, "sweeper": 1}
        if with_monitor:
            counts[supervisor.MONITOR] = 1
        return supervisor.supervise(supervisor.workers(loaded, counts), single.stop_on_signals())
    if process == "monitor":
        from voucher_ledger.monitor import command as monitor  # noqa: PLC0415 (Faust takes a second to import)

        monitor.run(loaded)
    elif process == "sweeper":
        stopping = single.stop_on_signals()
        with serving(loaded, process) as observer:
            loop.run(loaded, stopping, observer)
    else:
        single.run(loaded, process, instance)
    return ExitCode.DONE

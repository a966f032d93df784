"""What `voucher-ledger replay trace` does."""

import sys

from rich.console import Console

from voucher_ledger.replay.topic_reader import TopicReader, Unread
from voucher_ledger.replay.trace import trace
from voucher_ledger.replay.trace_render import show, to_json
from voucher_ledger.replay.trace_subject import UnknownSubject, find
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.run.single import stop_on_signals
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.settings import Settings


def run(
    settings: Settings, key: str, *, steps_max: int, scan: bool = False, json: bool = False, rate: float | None = None
) -> int:
    """Trace what `key` names and print it.

    Returns:
        0 done; 1 nothing of that name is known, or a topic could not be read.
    """
    try:
        with postgres.connect(settings.postgres, application="trace") as connection:
            subject = find(connection, key)
        reader = TopicReader(settings, stop_on_signals(), rate=rate)
        try:
            found = trace(reader, subject, steps_max=steps_max, scan=scan)
        finally:
            reader.close()
    except (UnknownSubject, Unread) as error:
        sys.stderr.write(f"trace: {error}\n")
        return ExitCode.CHECK_FAILED
    if json:
        sys.stdout.write(to_json(found) + "\n")
    else:
        show(found, Console() if sys.stdout.isatty() else Console(width=200))
    return ExitCode.DONE

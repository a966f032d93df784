"""What `voucher-ledger replay trace` does."""

import sys
from threading import Event

from rich.console import Console

from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.topic_reader import TopicReader
from voucher_ledger.replay.trace import trace
from voucher_ledger.replay.trace_render import show, to_json
from voucher_ledger.replay.trace_subject import UnknownSubject, find
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.settings import Settings


def run(
    settings: Settings, key: str, *, steps_max: int, scan: bool = False, json: bool = False, rate: float | None = None
) -> int:
    """Trace what `key` names and print it.

    Returns:
        0 done. Raises Refused where nothing of that name is known, Unread, Unreachable, NotSetUp.
    """
    with postgres.connect(settings.postgres, application="trace") as connection:
        try:
            subject = find(connection, key, scan=scan)
        except UnknownSubject as error:
            raise Refused(str(error)) from error
    reader = TopicReader(settings, Event(), rate=rate)
    try:
        found = trace(reader, subject, steps_max=steps_max, scan=scan)
    except UnknownSubject as error:
        raise Refused(str(error)) from error
    finally:
        reader.close()
    if json:
        sys.stdout.write(to_json(found) + "\n")
    else:
        show(found, Console() if sys.stdout.isatty() else Console(width=200))
    return ExitCode.DONE

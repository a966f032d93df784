"""What `voucher-ledger replay verify` does."""

import sys
from pathlib import Path
from threading import Event

from voucher_ledger.replay.bar import Bar
from voucher_ledger.replay.printing import told
from voucher_ledger.replay.topic_reader import Unread
from voucher_ledger.replay.verify import Scope, verify
from voucher_ledger.replay.verify_render import show
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.run.single import stop_on_signals
from voucher_ledger.runtime.settings import Settings


def run(
    settings: Settings,
    scope: Scope,
    *,
    json: bool = False,
    spill_directory: Path | None = None,
    rate: float | None = None,
) -> int:
    """Verify and print what was found.

    Returns:
        0 equal; 1 differing, or a topic that could not be read to its end.
    """
    stop: Event = stop_on_signals()
    try:
        with Bar("reading the topics", None) as bar:
            report = verify(settings, stop, scope, spill_directory=spill_directory, progress=bar, rate=rate)
    except Unread as error:
        sys.stderr.write(f"verify: {error}\n")
        return ExitCode.CHECK_FAILED
    return told(report, show, json=json)

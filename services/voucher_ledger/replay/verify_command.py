"""What `voucher-ledger replay verify` does."""

from pathlib import Path
from threading import Event

from voucher_ledger.replay.bar import Bar
from voucher_ledger.replay.printing import told
from voucher_ledger.replay.verify import verify
from voucher_ledger.replay.verify_render import show
from voucher_ledger.replay.verify_scope import Scope
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
        0 equal; 1 not. Raises Unread, Unreachable, NotSetUp.
    """
    with Bar("reading the topics", None) as bar:
        report = verify(settings, Event(), scope, spill_directory=spill_directory, progress=bar, rate=rate)
    return told(report, show, json=json)

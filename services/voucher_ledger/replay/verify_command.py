"""What `voucher-ledger replay verify` does."""

from threading import Event

import orjson

from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.verify.answers import check_answers


def run(settings: Settings, *, json: bool = False) -> int:
    """Check that every command was answered exactly once; 0 if so, 1 if not."""
    report = check_answers(settings, Event())
    told = {"passed": report.passed, "faults": report.fault_count, "shown": report.faults}
    print(orjson.dumps(told).decode() if json else "\n".join(report.faults) or "every command was answered once")
    return ExitCode.DONE if report.passed else ExitCode.CHECK_FAILED

"""What `voucher-ledger report` does."""

import sys
import time
from pathlib import Path
from typing import Any

from voucher_ledger.monitor import alerts, outlook, view
from voucher_ledger.monitor.alert_log import read_standing
from voucher_ledger.monitor.buckets import count_of
from voucher_ledger.monitor.crossing import REPORT_SECONDS_MAX, CrossingReader, TooCostly
from voucher_ledger.monitor.ledger import LedgerReader
from voucher_ledger.report.demand import read_demand
from voucher_ledger.report.page import page
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.settings import Settings


def run(settings: Settings, campaign_id: str, out: Path) -> int:
    """Write the report of a campaign to `out`: 0, or 2 where that cannot be written (looked at before all else), or
    neither ledger nor demand knows the campaign.

    Raises Unreachable, NotSetUp.
    """
    try:
        _try_to_write(out)
    except OSError as error:
        return _not_written(out, error)
    reader = LedgerReader(settings)
    try:
        reading = reader.read()
    finally:
        reader.close()
    facts = reading.campaigns.get(campaign_id)
    buckets = read_demand(settings, campaign_id)
    if facts is None and buckets is None:
        print(f"no campaign {campaign_id} is in the ledger, or has demand")
        return ExitCode.USAGE
    kept = buckets or {}
    now = time.time()
    # A report is of what happened: the newest demand ends it, not the clock.
    moment = outlook.as_of(kept, facts, now, None, caught_up=False)
    one = outlook.look(campaign_id, kept, facts, moment, reading.unpublished)
    standing = {key: stands for key, stands in read_standing(settings).items() if key.campaign_id == campaign_id}
    state = {
        "at": now,
        "not_ready": None,
        "problem": None,
        "reading_at": reading.read_at,
        "demand_lag_records": 0,
        "lags": [lag.as_json() for lag in reading.lags],
        "alerts": view.alert_lines(standing.values()),
        "campaigns": [view.in_short(one)],
        "campaign": view.in_full(one, kept, with_running=True),
        "crossing": _crossing(settings, campaign_id),
    }
    try:
        out.write_text(page(state, f"Report: {campaign_id}"), encoding="utf-8")
    except OSError as error:
        return _not_written(out, error)
    found = len(alerts.conditions(one))
    print(f"{out}: {campaign_id}, {count_of(one.total, 'voucher.granted'):,} grants, {found} alerts hold")
    return ExitCode.DONE


def _try_to_write(out: Path) -> None:
    is_new = not out.exists()
    with out.open("ab"):  # which leaves an older report as it is
        pass
    if is_new:
        out.unlink()


def _not_written(out: Path, error: OSError) -> int:
    print(f"voucher-ledger report: {out}: {error.strerror or error}", file=sys.stderr)
    return ExitCode.USAGE


def _crossing(settings: Settings, campaign_id: str) -> dict[str, Any]:
    """Users across verticals, over all orders however many: whoever writes a report can wait for it, within a bound."""
    reader = CrossingReader(settings, orders_max=None, seconds_max=REPORT_SECONDS_MAX)
    try:
        found = reader.count([campaign_id]).get(campaign_id)
    except TooCostly as error:
        return {"at": None, "problem": str(error)}
    finally:
        reader.close()
    return {**({} if found is None else found.as_json()), "at": time.time(), "problem": None}

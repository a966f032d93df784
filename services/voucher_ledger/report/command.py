"""What `voucher-ledger report` does."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voucher_ledger.monitor import alerts, outlook, view
from voucher_ledger.monitor.alert_log import read_standing
from voucher_ledger.monitor.buckets import count_of
from voucher_ledger.monitor.crossing import REPORT_SECONDS_MAX, CrossingReader, TooCostly
from voucher_ledger.monitor.ledger import LedgerReader
from voucher_ledger.report.demand import read_demand
from voucher_ledger.report.files import write_whole
from voucher_ledger.report.page import page
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.run.failures import failed
from voucher_ledger.runtime.settings import Settings

Draw = Callable[[dict[str, Any]], bytes]


class NoDrawing(Exception):
    """What draws is not installed; the text says how to have it."""


def run(settings: Settings, campaign_id: str, out: Path, png: Path | None = None) -> int:
    """Write the report of a campaign to `out`, and where `png` is given its picture to that.

    Returns:
        0 done; 2 where neither ledger nor demand knows the campaign, a file cannot be written, both are one file, or
        nothing can draw.

    Raises Unreachable, NotSetUp.
    """
    if png is not None and png.resolve() == out.resolve():
        return failed("--out and --png name the same file", ExitCode.USAGE)
    try:
        # First of all: whoever has to install something should not wait for a count of all orders.
        draw = None if png is None else drawing()
    except NoDrawing as error:
        return failed(str(error), ExitCode.USAGE)
    reader = LedgerReader(settings)
    try:
        reading = reader.read([campaign_id])
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
    holding = alerts.conditions(one)
    standing = [stands for key, stands in read_standing(settings).items() if key.campaign_id == campaign_id]
    state = {
        "at": now,
        "recovering": False,
        "whole_day": True,
        "not_ready": None,
        "problem": None,
        "alerts_frozen": None,
        "reading_at": reading.read_at,
        "demand_lag_records": 0,
        "lags": [lag.as_json() for lag in reading.lags],
        "alerts": view.alert_lines(alerts.as_they_are(standing, holding)),
        "campaigns": [view.in_short(one)],
        "campaign": view.in_full(one, kept, with_running=True),
        "crossing": _crossing(settings, campaign_id),
    }
    try:
        write_whole(out, page(state, f"Report: {campaign_id}").encode())
        if png is not None and draw is not None:
            write_whole(png, draw(state))
    except OSError as error:
        return failed(f"{error.filename}: {error.strerror or error}", ExitCode.USAGE)
    written = out if png is None else f"{out}, {png}"
    found = sum(not condition.goes_on for condition in holding)
    print(f"{written}: {campaign_id}, {count_of(one.total, 'voucher.granted'):,} grants, {found} alerts hold")
    return ExitCode.DONE


def drawing() -> Draw:
    """What draws a state as a PNG. Loaded for whoever wants a picture alone: matplotlib is large, and an extra.

    Raises NoDrawing.
    """
    try:
        from voucher_ledger.report.picture.draw import draw
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("voucher_ledger"):
            raise
        raise NoDrawing(f"--png needs matplotlib ({error}): pip install 'voucher-ledger[png]'") from error
    return draw


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

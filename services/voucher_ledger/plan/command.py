"""What `voucher-ledger plan` does."""

import sys
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console

from voucher_ledger.core.wording import counted
from voucher_ledger.plan.campaign import PlannedCampaign, read_campaign
from voucher_ledger.plan.errors import BadInput
from voucher_ledger.plan.forecast import Defaults, Demand, check_average, read_forecast, within
from voucher_ledger.plan.outcome import Trial
from voucher_ledger.plan.past import read_past
from voucher_ledger.plan.picture import page
from voucher_ledger.plan.render import show
from voucher_ledger.plan.report import plan, to_json
from voucher_ledger.plan.scale import choose_scale
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.run.failures import failed
from voucher_ledger.runtime.timers import unless_ended_within

SILENT_SECONDS_MAX = 2.0


def run(
    campaign_file: Path,
    forecast_file: Path | None,
    events_file: Path | None,
    *,
    conversion: float | None = None,
    average_order_minor: int | None = None,
    tranches: int | None = None,
    runs: int = 20,
    seed: int = 1,
    uncertainty: float = 0.3,
    html: Path | None = None,
    json: bool = False,
) -> int:
    """Plan the campaign of a file against a forecast or a past day, one of which is given; arguments as in `arguments`.

    Returns:
        0 done; 2 a file that cannot be read, written or used.
    """
    try:
        with _told_if_long(runs):
            campaign = read_campaign(str(campaign_file), campaign_file.read_bytes())
            expected = _rows(campaign, forecast_file, events_file, Defaults(conversion, average_order_minor))
            rows, left_out = within(campaign, expected)
            trial = Trial(campaign, rows, choose_scale(campaign, rows), runs, seed, uncertainty, left_out)
            report = plan(trial, tranches)
        if html is not None:
            html.write_text(page(report), encoding="utf-8")
    except BadInput as error:
        return failed(str(error), ExitCode.USAGE)
    except OSError as error:
        return failed(f"{error.filename}: {error.strerror or error}", ExitCode.USAGE)
    if json:
        print(to_json(report))
    else:
        # Where nothing says how wide it is, lines are as long as the widest table.
        show(report, Console() if sys.stdout.isatty() else Console(width=160))
    return ExitCode.DONE


def _told_if_long(runs: int) -> AbstractContextManager[None]:
    """Say once that it computes, where it has not ended within SILENT_SECONDS_MAX: a silent terminal looks hung."""

    def tell() -> None:
        print(f"trying each plan on {counted(runs, 'run')} of the day...", file=sys.stderr)

    return unless_ended_within(SILENT_SECONDS_MAX, tell)  # what it says stands above the report, never in it


def _rows(
    campaign: PlannedCampaign, forecast_file: Path | None, events_file: Path | None, defaults: Defaults
) -> list[Demand]:
    try:
        check_average(defaults.average_order_minor, campaign)
    except BadInput as error:
        raise BadInput(f"--average-order-minor: {error}") from None
    if forecast_file is not None:
        with forecast_file.open("rb") as lines:
            # Decoded line by line, so that a fault is told with its line.
            return read_forecast(str(forecast_file), (line.decode() for line in lines), campaign, defaults)
    assert events_file is not None
    with events_file.open("rb") as records:
        return read_past(str(events_file), records, defaults)

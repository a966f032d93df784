"""The arguments of `voucher-ledger plan`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from voucher_ledger.runtime import settings


def plan(
    campaign: Annotated[Path, typer.Argument(help="JSON: the `data` of a campaign.open command.")],
    forecast: Annotated[
        Path | None, typer.Argument(help="CSV: `minute,claims` or `hour,claims`, counted from the campaign's start.")
    ] = None,
    from_events: Annotated[
        Path | None, typer.Option(help="Instead of a forecast: NDJSON of a past day's claim commands or events.")
    ] = None,
    conversion: Annotated[
        float | None, typer.Option(min=0, max=1, help="Share of vouchers that becomes an order, if no column tells.")
    ] = None,
    average_order_minor: Annotated[
        int | None, typer.Option(min=1, help="What an order costs on average, if no column tells.")
    ] = None,
    tranches: Annotated[
        int | None, typer.Option(min=1, max=1_000, help="Tranches to recommend (default: one each 10 minutes).")
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=10_000, help="How many days are tried.")] = 20,
    seed: Annotated[int, typer.Option(help="Which days; the same seed tries the same.")] = 1,
    uncertainty: Annotated[
        float, typer.Option(min=0, max=3, help="How far demand may be off: its standard deviation over its mean.")
    ] = 0.3,
    html: Annotated[Path | None, typer.Option(help="Write a picture of the cards left over time to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell when a campaign's cards will run out, what it may cost, and which tranches spread the cards over it."""
    from voucher_ledger.plan import command

    settings.refuse_unknown_names(os.environ)  # it reads none, but a misspelt one is told by every command
    if (forecast is None) == (from_events is None):
        raise typer.BadParameter("give either a forecast or --from-events", param_hint="FORECAST")
    code = command.run(
        campaign, forecast, from_events, conversion=conversion, average_order_minor=average_order_minor,
        tranches=tranches, runs=runs, seed=seed, uncertainty=uncertainty, html=html, json=as_json,
    )  # fmt: skip
    raise typer.Exit(code)

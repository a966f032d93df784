"""The command line of `report`."""

from pathlib import Path
from typing import Annotated

import typer

from voucher_ledger.runtime import settings


def report(
    campaign: Annotated[str, typer.Option(help="The campaign's id.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The HTML file to write; it needs no other file.")],
    png: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help="Draw the day as one picture of 1600 x 1200 pixels too, into this file; needs the extra `png`.",
        ),
    ] = None,
) -> None:
    """Write a page of what happened in a campaign: demand, cards left against the plan, refusals, verticals, tiers."""
    from voucher_ledger.report import command

    raise typer.Exit(command.run(settings.load(), campaign, out, png))

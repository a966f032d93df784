"""The command line of `report`."""

from pathlib import Path
from typing import Annotated

import typer

from voucher_ledger.runtime import settings


def report(
    campaign: Annotated[str, typer.Option(help="The campaign's id.")],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The HTML file to write; it needs no other file.")],
) -> None:
    """Write a page of what happened in a campaign: demand, cards left against the plan, refusals, verticals, tiers."""
    from voucher_ledger.report import command

    raise typer.Exit(command.run(settings.load(), campaign, out))

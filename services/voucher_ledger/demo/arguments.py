"""The arguments of `voucher-ledger demo`."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from voucher_ledger.runtime import settings


class Scenario(StrEnum):
    """What `demo` can play."""

    GREY_RELEASE = "grey-release"
    SECOND_WAVE = "second-wave"


def demo(
    scenario: Annotated[Scenario, typer.Option(help="What is played.")] = Scenario.GREY_RELEASE,
    claims: Annotated[
        int | None, typer.Option(min=1, help="Claims; at least twice the cards (default: the scenario's own).")
    ] = None,
    cards: Annotated[
        int | None,
        typer.Option(min=1, help="Vouchers of the campaign; in second-wave, of its second day."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which day; the same seed gives the same commands.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Leave Kafka and Postgres running at the end.")] = False,
    directory: Annotated[
        Path, typer.Option("--dir", help="Where the demo's own Kafka and Postgres are made anew.")
    ] = Path(".voucher-ledger/demo"),
) -> None:
    """Play a campaign on a real Kafka and Postgres, kill a processor in the middle, and prove that all is right."""
    from voucher_ledger.demo import command

    settings.refuse_unknown_names(os.environ)  # it takes no address from there, but one name more: where jars are kept
    raise typer.Exit(command.run(directory, claims=claims, cards=cards, seed=seed, keep=keep, scenario=scenario.value))

"""The arguments of `voucher-ledger replay verify`."""

from typing import Annotated

import typer

from voucher_ledger.runtime import settings


def verify(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Prove from the topics alone that every command was answered exactly once."""
    from voucher_ledger.replay import verify_command

    raise typer.Exit(verify_command.run(settings.load(), json=as_json))

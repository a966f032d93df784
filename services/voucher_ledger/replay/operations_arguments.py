"""The arguments of `voucher-ledger replay operations`."""

from typing import Annotated

import typer

from voucher_ledger.replay.manual import NOTHING_CHANGED
from voucher_ledger.runtime import settings


def operations(
    count_max: Annotated[int, typer.Option("--max", min=1, max=10_000, help="The last so many.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show the operations journal: who did what, when and why, the newest first: each `--apply`, `what-if` and
    `dead-letters export`. A rebuild is in the journal of the ledger that it makes.

    It is the view ledger.operation, append-only. `not ended` is an operation that runs, or that was killed.
    """
    from voucher_ledger.replay import operations_command
    from voucher_ledger.replay.errors import ended

    loaded = settings.load()
    raise typer.Exit(
        ended(
            lambda: operations_command.run(loaded, count_max=count_max, json=as_json),
            interrupted=NOTHING_CHANGED,
        )
    )

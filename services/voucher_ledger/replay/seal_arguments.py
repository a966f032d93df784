"""The arguments of `voucher-ledger replay seal`."""

from pathlib import Path
from typing import Annotated

import typer

from voucher_ledger.replay.manual import NOTHING_CHANGED
from voucher_ledger.runtime import settings


def seal(
    out: Annotated[Path | None, typer.Option("--out", help="Write the JSON object into this new file too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the end of each partition's chain of seals, to be kept outside of the ledger.

    Each batch that is decided is sealed in its own transaction: SHA-256 of the seal before it and of all events and
    dead letters that it publishes. So the last seal of a partition stands for its whole history. Who can write the
    ledger and the topics could change both and make a new chain; it would not end where the old one did.

    [bold]Keep[/] what this prints where whoever runs the ledger can't write: another system, a mail to the auditors,
    paper. `--out heads.json` writes it into a file, `--json` prints it; the [bold]fingerprint[/], one line, stands
    for all of it. Once an hour during a campaign is a fair habit; it costs one query.

    [bold]Later[/], `voucher-ledger replay verify --seals --heads heads.json` proves that the history up to then is
    what it was. Nothing is changed by either, and both run beside live traffic.

    The role voucher_ledger_operator may run it. After `replay rebuild` the chain is a new one: take heads anew.

    [bold]Exit codes[/]  0 done; 1 the file is there already, or can't be written; 2 usage, or no ledger; 3 Postgres
    cannot be reached.
    """
    from voucher_ledger.replay.errors import ended
    from voucher_ledger.replay.seals import command

    loaded = settings.load()
    raise typer.Exit(ended(lambda: command.seal(loaded, out=out, json=as_json), interrupted=NOTHING_CHANGED))

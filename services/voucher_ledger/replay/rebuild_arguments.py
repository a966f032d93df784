"""The arguments of `voucher-ledger replay rebuild`."""

from pathlib import Path
from typing import Annotated

import typer

from voucher_ledger.replay.letter_filter_arguments import asked, needs_reason
from voucher_ledger.replay.reading_arguments import ReadRate
from voucher_ledger.runtime import settings


def rebuild(
    context: typer.Context,
    into: Annotated[str, typer.Option(help="An empty Postgres database: a libpq connection string or URI.")],
    apply: Annotated[bool, typer.Option("--apply", help="Write it; without this, only tell what would be.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Hash VOUCHER_LEDGER_POSTGRES too, for a drill; exit code 1 if unequal.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="Why: the first entry of the new ledger's journal; needed with --apply.")
    ] = None,
    rate: ReadRate = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    spill_dir: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Where to put things aside (default: TMPDIR).")
    ] = None,
) -> None:
    """Make the ledger anew from the event topics, in an empty Postgres, for processors to go on from.

    Stop all processors first: what was decided and not yet published is in no topic, and will be decided again. The
    events are read from the first to the last and must be whole: a gap, a repetition, a contradiction, or an end that
    is not the offset that the processors' group has committed is refused, by name. Without [bold]--apply[/] that is
    all.

    With [bold]--apply --reason WHY[/] the database is migrated, the topics are read, and it is written in [bold]one
    transaction[/]: rows, transfers, balances and positions. The audit is run on them before the commit. Killed, refused
    or out of disk, it leaves an empty ledger; start no processor on it before its end. A database that holds a
    row already is refused, and not touched. Its own operations journal begins with the rebuild: who, why, with which
    arguments, when it began and when it was done; of one that was killed the end is missing, of one that was refused it
    tells why.

    [bold]--rate[/] bounds how fast the topics are read where the broker is a live one. There is no --max and no --from:
    a ledger of a part of the events would be none.

    [bold]From the commands[/] comes what events do not tell: the rules of campaigns, and the content of accepted
    campaign commands, by which the same command sent again is known. So campaign.commands must be whole too.

    [bold]Not told by events[/], and so chosen: each voucher goes through the accounts of its claim's partition.
    Leases come back as zero, all rests lie in the pool; a lease has drawn once, what it granted. In a campaign that
    honours overspending, as few grants are booked as loss as leave the pool not below zero, so loss that was returned
    since is forgotten. Row versions and epochs begin anew; the outbox is empty. All else is equal, by the hash of
    each table that is printed, and by `voucher-ledger replay verify`.

    [bold]Exit codes[/]  0 done; 1 refused, nothing was written; 2 usage, or topics that are not there; 3 Kafka or
    Postgres cannot be reached, or fell silent meanwhile; 4 this machine's disk (--spill-dir) is full.
    """
    from voucher_ledger.replay import rebuild_command
    from voucher_ledger.replay.errors import ended

    settings.check_postgres("--into", into)
    needs_reason(apply, reason)
    arguments = {name: value for name, value in asked(context).items() if name != "into"}  # it may hold a password
    if compare and not apply:
        raise typer.BadParameter("what was not written has no hashes: give --apply too", param_hint="--compare")
    loaded = settings.load()
    code = ended(
        lambda: rebuild_command.run(
            loaded, into, apply=apply, compare=compare, json=as_json, spill_directory=spill_dir,
            reason=reason, arguments=arguments, rate=rate,
        ),
        interrupted="the database holds a whole ledger or none: the same command tells which",
    )  # fmt: skip
    raise typer.Exit(code)

"""The arguments of `voucher-ledger replay trace`."""

from typing import Annotated

import typer

from voucher_ledger.replay.manual import NOTHING_CHANGED
from voucher_ledger.replay.reading_arguments import ReadRate
from voucher_ledger.runtime import settings


def trace(
    key: Annotated[str, typer.Argument(help="The id of a voucher, an order, a user or an event.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, records and all.")] = False,
    steps_max: Annotated[int, typer.Option("--max", min=1, help="At most so many commands.")] = 100,
    scan: Annotated[
        bool, typer.Option("--scan", help="Read the partitions for what moved nothing: refusals, duplicates, parts.")
    ] = False,
    rate: ReadRate = None,
) -> None:
    """Tell on one screen what happened to one voucher, order, user or event: commands, movements, events, with times.

    The ledger's rows tell what is so now; its transfers name the commands that made it so, by topic, partition and
    offset. Each of these records is read by its offset, and its event found by a few looks in the same partition:
    nothing is scanned, whatever the topics hold. A record that retention has deleted is told as such.

    Refusals, duplicates and refunds of a part move nothing, so that no transfer knows of them. With [bold]--scan[/]
    the events of the partitions concerned are read from the first to the last, `--rate` a second at most, and these are
    shown too; of a user who was only refused, whom no row of the ledger names, those of all partitions.

    An [bold]event id[/] is that of any event (`claim.commands/3/17/0`), or the place of a command or dead letter
    without the index: shown is that command, and the chain of the voucher that it moved. Where no event answers it, its
    dead letter is looked for among 10,000 from its time on.

    Of a user who stands in a waiting room the place in line is told too: campaign, partition, position, since when.

    In the ledger, vouchers and orders are found by their keys; orders and transfers of a voucher by a scan of the
    tables (some seconds for ten million rows, 10 minutes at most). Nothing is changed and no row is locked. The role
    voucher_ledger_reader may run it.

    [bold]Exit codes[/]  0 done; 1 nothing of that name is known; 2 usage, no ledger or no topics; 3 Kafka or Postgres
    cannot be reached, or fell silent meanwhile.
    """
    from voucher_ledger.replay import trace_command
    from voucher_ledger.replay.errors import ended

    if rate is not None and not scan:
        raise typer.BadParameter("nothing is read at length without --scan", param_hint="--rate")
    loaded = settings.load()
    raise typer.Exit(
        ended(
            lambda: trace_command.run(loaded, key, steps_max=steps_max, scan=scan, json=as_json, rate=rate),
            interrupted=NOTHING_CHANGED,
        )
    )

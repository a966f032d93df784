"""The arguments of `voucher-ledger replay verify`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voucher_ledger.replay.letter_filter_arguments import bounds_of
from voucher_ledger.replay.manual import NOTHING_CHANGED
from voucher_ledger.replay.reading_arguments import ReadRate
from voucher_ledger.runtime import settings

if TYPE_CHECKING:
    from voucher_ledger.replay.seals.chain import Head


def _partitions(text: str | None) -> frozenset[int] | None:
    """`0,3-5` as the numbers that it names."""
    if text is None:
        return None
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            why = f"{text!r} is no list of numbers such as 0,3-5, of every topic"
            raise typer.BadParameter(why, param_hint="--partitions")
        if int(last or first) < int(first):
            raise typer.BadParameter(f"{part.strip()!r} ends before it begins", param_hint="--partitions")
        numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)


def _heads(files: list[Path], *, seals: bool) -> "list[Head]":
    """The heads that were kept in these files."""
    from voucher_ledger.replay.seals.heads import NoHeads, read

    if files and not seals:
        raise typer.BadParameter("kept heads are of seals: give --seals too", param_hint="--heads")
    try:
        return [head for file in files for head in read(file)]
    except (NoHeads, OSError) as error:
        raise typer.BadParameter(str(error), param_hint="--heads") from error


def verify(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    campaign: Annotated[str | None, typer.Option(help="Compare the rows of this campaign only.")] = None,
    partitions: Annotated[
        str | None, typer.Option(help="Only answers to commands of these partitions of every topic, as 0,3-5; no rows.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Only the answers to commands from this offset or time on; no rows.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Only the answers to commands before this offset or time; no rows.")
    ] = None,
    rate: ReadRate = None,
    spill_dir: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Where to put things aside (default: TMPDIR).")
    ] = None,
    seals: Annotated[
        bool, typer.Option("--seals", help="Instead: that each record is as it was sealed when it was decided.")
    ] = False,
    heads: Annotated[
        list[Path] | None, typer.Option(help="With --seals: heads kept from `replay seal`; may be repeated.")
    ] = None,
) -> None:
    """Prove from the topics that nothing was lost, doubled or changed; exit code 1 if something was.

    Reads every event and dead letter (read_committed, without any consumer group's offsets), and compares:

    [bold]answers[/]  every command below the ledger's positions has exactly one event or dead letter. Gaps,
    repetitions, answers to no command and positions past a topic's end are named, answers by the id of their command.

    [bold]rows[/]  an independent fold of the events gives each voucher, order, payment, refund, campaign, category and
    balance anew; the ledger's rows must be equal, column by column. What differs is named (20 of a kind, all counted).

    It may run beside live traffic: one snapshot of the ledger gives positions and rows as of one moment, and events
    of what was decided by then but not yet published are waited for, 60 s at most. Nothing is changed, no row is
    locked. [bold]--rate[/] bounds how fast the topics are read, so that a live broker is spared; below the rate at
    which events come, their ends are never reached. There is no --max: a count of records proves nothing;
    `--partitions`, `--from` and `--to` name a part.

    The role voucher_ledger_operator may run it. Memory is bounded, whatever the ledger holds (a byte a command, and
    one bucket of users at a time); what is put aside meanwhile takes about 100 bytes an event of temporary disk.

    [bold]Not told by events[/], and so not compared: which shard's accounts a voucher went through; how pool, leases
    and loss share what was not granted (their sum is); the rules of campaigns. Transfers and the counts of limits are
    proven by `voucher-ledger audit` from SQL: run both.

    [bold]--seals[/]  Answers and rows tell whether topics and ledger agree; whether both are still what they were, the
    seals tell: a hash chain for each partition, a row a batch. With this the chain is computed anew, each event and
    dead letter is compared with it, and each head that was kept by `voucher-ledger replay seal` must be on it. A
    record that was changed, dropped, added or moved is named, and so is a changed or missing seal. It is a run of its
    own, which reads the topics once; `--partitions` may bound it. Records that were deleted from the beginning of a
    topic can't be verified and are told by number; what was published before the ledger had seals is not sealed.

    [bold]Exit codes[/]  0 equal; 1 not, or no such campaign or partition, or no command between --from and --to;
    2 usage, no ledger or no topics; 3 Kafka or Postgres out of reach or silent; 4 the disk (--spill-dir) is full.
    """
    from voucher_ledger.replay import verify_command
    from voucher_ledger.replay.errors import ended
    from voucher_ledger.replay.seals import command
    from voucher_ledger.replay.verify_scope import Scope

    if seals and (campaign or from_ or to):
        raise typer.BadParameter("a chain is verified whole: no --campaign, --from or --to", param_hint="--seals")
    since, until = bounds_of(from_, to)
    scope = Scope(campaign, _partitions(partitions), since.offset, until.offset, since.time_ms, until.time_ms)
    kept, loaded = _heads(heads or [], seals=seals), settings.load()
    verified = partial(verify_command.run, loaded, scope, json=as_json, spill_directory=spill_dir, rate=rate)
    if seals:
        verified = partial(command.verify, loaded, kept, scope.partitions, json=as_json, rate=rate)
    raise typer.Exit(ended(verified, interrupted=NOTHING_CHANGED))

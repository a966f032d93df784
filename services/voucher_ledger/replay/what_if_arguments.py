"""The arguments of `voucher-ledger replay what-if`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voucher_ledger.replay.letter_filter_arguments import AsJson, asked
from voucher_ledger.replay.manual import manual
from voucher_ledger.replay.reading_arguments import ReadRate
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime import settings

if TYPE_CHECKING:
    from voucher_ledger.replay.what_if.moment import Moment
    from voucher_ledger.replay.what_if.rules import Changes

WHAT_IF = manual("""
Decide a past day's commands again under changed rules of its campaigns, and print the difference: granted, refused by
reason, spend, when sold out, by category and city tier.

--set CAMPAIGN.RULE=VALUE changes one rule, such as spring.quota=60000, spring.limits.per_user_day=2,
spring.when_empty=queue, spring.release=null (VALUE is JSON, or else a text as it stands; null takes a rule away).
--rules FILE changes more: {"spring": {"quota": 60000, "release": [...]}}, a JSON merge patch (RFC 7396) of each
campaign's campaign.open. Rules that their schema or the campaigns room would refuse are refused before anything is
played. Top-ups, pauses and closings of that day are played as they were sent.

The commands are read from the topics in the order of their record times and decided by the rooms' own code on a
throw-away database beside the ledger's (or on the server of --sandbox), once under the recorded rules and once under
the changed ones. What was recorded, from the events, is shown beside both. Neither the ledger nor any consumer group is
touched; the journal of operations gets an entry. Asked again, the answer is the same, to the byte with --json. Beside
live traffic give a --to that is past: it fixes where the topics end. Without it what came meanwhile, of other campaigns
too, is in `offsets`, `left_out` and `undecidable`.

[bold]Without a change[/] it is a self check: decided again under the recorded rules, every count must be what the
events say.

[bold]Time[/]  Under other rules other vouchers come due and others have their turn in a waiting room, so the sweeper's
recorded commands are left out, and its own code makes them anew, each half second of record time.

[bold]Vouchers[/]  are named by what granted them. An order finds its voucher where that is granted here too, or its
user's other one of the campaign (a stand-in); else it is refused as unknown_voucher. Where a discount is another, users
pay and are given back what the order costs. People don't change: who was refused that day has ordered nothing, and
orders nothing here. How many vouchers go to such users, and what they may add to the spend, is told.

[bold]What may differ[/] between recorded and decided again, and is no fault: that night each partition and room decided
at its own pace, so at the end of a quota, of a budget or of a limit others may have come first; and a command that came
before another room had decided what it needed was refused then. A row where they differ is marked ~, and how far its
difference holds is told below the table.

[bold]Bounds[/]  --campaign plays one campaign (by default those whose rules are changed). --to ends the play. --from
begins it in the midst: each campaign with its whole quota. Both take a time or a command's place or event's id
(claim.commands/3/1200); an offset alone is another moment in each partition.
--rate bounds how fast the topics are read beside live traffic.

[bold]Killed[/], it leaves a sandbox that the next run finds and drops; then it starts from nothing. --keep renames the
sandboxes instead of dropping them, for questions in SQL (schema ledger, and what_if). They hold users' data: drop them.

[bold]Needs[/]  the role voucher_ledger_operator for the journal; for the sandbox, the right to create databases and
what `voucher-ledger migrate` needs, with the role voucher_ledger_writer.

[bold]Exit codes[/]  0 done; 1 refused, or the self check found a difference, or a sandbox fails the audit; 2 usage, or
rules that can't be; 3 Kafka or Postgres cannot be reached.
""")


def what_if(
    context: typer.Context,
    sets: Annotated[
        list[str] | None, typer.Option("--set", metavar="CAMPAIGN.RULE=VALUE", help="Change a rule; may be repeated.")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A JSON file of changed rules by campaign.")
    ] = None,
    campaign: Annotated[list[str] | None, typer.Option(help="Play this campaign only; may be repeated.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="From this time, command or event on.")] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Up to, not including, this time, command or event.")
    ] = None,
    sandbox: Annotated[
        str | None, typer.Option(metavar="DSN", help="Make the sandboxes there (default: beside the ledger).")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the sandboxes, and print their names.")] = False,
    rate: ReadRate = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the operations journal.")] = None,
    as_json: AsJson = False,
) -> None:
    """Decide a past day's commands again under changed rules, in a sandbox, and print the difference."""
    from voucher_ledger.replay.errors import ended
    from voucher_ledger.replay.what_if import command

    if sandbox is not None:
        settings.check_postgres("--sandbox", sandbox)
    request = command.Request(
        _changes(sets, rules),
        frozenset(campaign or ()),
        _moment(since, "--from"),
        _moment(until, "--to"),
        sandbox,
        keep,
        rate,
    )
    arguments = {name: value for name, value in asked(context).items() if name != "sandbox"}  # it may hold a password
    loaded = settings.load()
    try:
        code = ended(
            lambda: command.run(loaded, request, reason=reason, arguments=arguments, json=as_json),
            interrupted="the sandboxes are dropped, and the same command starts from nothing",
        )
    except command.BadRules as error:
        print(f"error: {error}", file=sys.stderr)
        code = ExitCode.USAGE
    raise typer.Exit(code)


def _changes(sets: list[str] | None, rules: Path | None) -> "Changes":
    from voucher_ledger.replay.what_if.rules import BadRules, of_file, of_setting, together

    try:
        given = [] if rules is None else [of_file(str(rules), rules.read_bytes())]
        return together([*given, *map(of_setting, sets or ())])
    except BadRules as error:
        raise typer.BadParameter(str(error), param_hint="--set, --rules") from error
    except OSError as error:
        raise typer.BadParameter(f"cannot read {rules}: {error.strerror}", param_hint="--rules") from error


def _moment(text: str | None, option: str) -> "Moment | None":
    from voucher_ledger.replay.what_if.moment import moment

    try:
        return None if text is None else moment(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error

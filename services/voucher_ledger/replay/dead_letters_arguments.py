"""The arguments of `voucher-ledger replay dead-letters`."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from voucher_ledger.core.clock import milliseconds, rfc3339
from voucher_ledger.replay import dead_letters_manual as manual
from voucher_ledger.replay.letter_filter_arguments import (
    Apply,
    AsJson,
    At,
    Error,
    ErrorPattern,
    Key,
    Partitions,
    Reason,
    Since,
    States,
    Topics,
    Until,
    asked,
    needs_reason,
    place_of,
    selection,
)
from voucher_ledger.runtime import settings

app = typer.Typer(
    help=manual.DEAD_LETTERS,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

_VALUE_BYTES_MAX = 1_048_576


@app.command("list", help=manual.LIST)
def list_letters(
    topic: Topics = None,
    error: Error = None,
    error_regex: ErrorPattern = None,
    key: Key = None,
    at: At = None,
    partition: Partitions = None,
    since: Since = None,
    until: Until = None,
    state: States = None,
    count_max: Annotated[int, typer.Option("--max", min=0, max=10_000, help="Show the first so many letters.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Count dead letters by reason, and show the first of them. Changes nothing."""
    from voucher_ledger.replay.dead_letters import look
    from voucher_ledger.replay.errors import ended

    chosen = selection(topic, error, error_regex, key, at, partition, since, until, state)
    loaded = settings.load()
    raise typer.Exit(ended(lambda: look.list_letters(loaded, chosen, count_max=count_max, json=as_json)))


@app.command(help=manual.SHOW)
def show(
    letter: Annotated[str, typer.Argument(help="PARTITION/OFFSET on ledger.dead-letters.")],
    as_json: AsJson = False,
) -> None:
    """Show one letter whole: headers, key, value, and all that was ever done about it. Changes nothing."""
    from voucher_ledger.replay.dead_letters import look
    from voucher_ledger.replay.errors import ended

    found = place_of(letter, "LETTER")
    loaded = settings.load()
    raise typer.Exit(ended(lambda: look.show(loaded, found, json=as_json)))


@app.command(help=manual.REDRIVE)
def redrive(
    context: typer.Context,
    topic: Topics = None,
    error: Error = None,
    error_regex: ErrorPattern = None,
    key: Key = None,
    at: At = None,
    partition: Partitions = None,
    since: Since = None,
    until: Until = None,
    attempts_max: Annotated[
        int, typer.Option(min=1, max=100, help="Leave what has died so often: to send it again makes a loop.")
    ] = 3,
    again: Annotated[
        str | None, typer.Option(metavar="TIME", help="Also drive what was driven before this past time (RFC 3339).")
    ] = None,
    edit: Annotated[
        Path | None, typer.Option(help="Send this file's command (- for standard input) in the one letter's place.")
    ] = None,
    count_max: Annotated[int, typer.Option("--max", min=1, help="Drive at most so many letters.")] = 10_000,
    rate: Annotated[float | None, typer.Option(min=0.001, help="At most so many letters a second.")] = None,
    apply: Apply = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Drive letters again: each to the topic and partition that it came from, with key, bytes and headers kept."""
    from voucher_ledger.replay.dead_letters import command
    from voucher_ledger.replay.dead_letters.redrive import Rules
    from voucher_ledger.replay.errors import ended

    needs_reason(apply, reason)
    chosen = selection(topic, error, error_regex, key, at, partition, since, until)
    rules = Rules(attempts_max, None if again is None else past_ms(again, time.time_ns() // 1_000_000), count_max)
    value = None if edit is None else _read(edit)
    loaded = settings.load()
    raise typer.Exit(
        ended(
            lambda: command.drive(
                loaded,
                chosen,
                rules,
                apply=apply,
                reason=reason,
                rate=rate,
                edit=value,
                arguments=asked(context),
                json=as_json,
            )
        )
    )


def past_ms(text: str, now_ms: int) -> int:
    """The time that --again gives, which must not be to come: a run that is killed and repeated would find what it
    drove itself driven before it, and drive that twice. Raises BadParameter.
    """
    try:
        time_ms = milliseconds(text)
    except ValueError as fault:
        raise typer.BadParameter(str(fault), param_hint="--again") from fault
    if time_ms > now_ms:
        why = f"{text} is yet to come (now is {rfc3339(now_ms)}): a run that is killed and repeated would drive twice"
        raise typer.BadParameter(why, param_hint="--again")
    return time_ms


def _read(path: Path) -> bytes:
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read(_VALUE_BYTES_MAX)
        with path.open("rb") as stream:
            return stream.read(_VALUE_BYTES_MAX)
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror}", param_hint="--edit") from error


@app.command(help=manual.QUARANTINE)
def quarantine(
    context: typer.Context,
    topic: Topics = None,
    error: Error = None,
    error_regex: ErrorPattern = None,
    key: Key = None,
    at: At = None,
    partition: Partitions = None,
    since: Since = None,
    until: Until = None,
    lift: Annotated[bool, typer.Option("--lift", help="Take letters out of quarantine instead.")] = False,
    count_max: Annotated[int, typer.Option("--max", min=1, help="Mark at most so many letters.")] = 10_000,
    rate: Annotated[float | None, typer.Option(min=0.001, help="At most so many letters a second.")] = None,
    apply: Apply = False,
    reason: Reason = None,
    as_json: AsJson = False,
) -> None:
    """Mark letters as looked at and not to be driven again, with the reason; --lift takes that back."""
    from voucher_ledger.replay.dead_letters import command
    from voucher_ledger.replay.dead_letters.marks import MarkKind
    from voucher_ledger.replay.errors import ended

    needs_reason(apply, reason)
    kind = MarkKind.RELEASED if lift else MarkKind.QUARANTINED
    states = ["quarantined"] if lift else ["open"]
    chosen = selection(topic, error, error_regex, key, at, partition, since, until, states)
    loaded = settings.load()
    raise typer.Exit(
        ended(
            lambda: command.mark(
                loaded,
                chosen,
                kind,
                apply=apply,
                reason=reason,
                count_max=count_max,
                rate=rate,
                arguments=asked(context),
                json=as_json,
            )
        )
    )


@app.command(help=manual.EXPORT)
def export(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(help="A new file, or - for standard output.")],
    topic: Topics = None,
    error: Error = None,
    error_regex: ErrorPattern = None,
    key: Key = None,
    at: At = None,
    partition: Partitions = None,
    since: Since = None,
    until: Until = None,
    state: States = None,
    count_max: Annotated[int, typer.Option("--max", min=1, help="At most so many letters.")] = 1_000_000,
    reason: Annotated[str | None, typer.Option(help="Why, for the operations journal.")] = None,
) -> None:
    """Write letters as NDJSON, one an object a line: place, cause, reason, key, value, headers, marks."""
    from voucher_ledger.replay.dead_letters import look
    from voucher_ledger.replay.errors import ended

    chosen = selection(topic, error, error_regex, key, at, partition, since, until, state)
    loaded = settings.load()
    raise typer.Exit(
        ended(
            lambda: look.export(loaded, chosen, target, count_max=count_max, reason=reason, arguments=asked(context)),
            interrupted="what was written so far is in a .partial file, or on standard output",
        )
    )

"""The options by which `voucher-ledger replay dead-letters` is told which letters are meant."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voucher_ledger.replay.bounds import Bound, bound, place

if TYPE_CHECKING:
    from voucher_ledger.replay.dead_letters.selection import Selection

Topics = Annotated[
    list[str] | None, typer.Option("--topic", help="Only letters of this command topic; may be repeated.")
]
Error = Annotated[str | None, typer.Option("--error", help="Only where the reason contains this text, in any case.")]
ErrorPattern = Annotated[
    str | None, typer.Option("--error-regex", help="Only where this regular expression is found in the reason.")
]
Key = Annotated[str | None, typer.Option("--key", help="Only records with this key: a user id, or a campaign's.")]
At = Annotated[list[str] | None, typer.Option("--at", help="Only the letter at PARTITION/OFFSET; may be repeated.")]
Partitions = Annotated[
    list[int] | None, typer.Option("--partition", help="Only this partition of ledger.dead-letters; may be repeated.")
]
Since = Annotated[
    str | None, typer.Option("--from", help="From this time (when it died; RFC 3339, UTC) or offset of a letter on.")
]
Until = Annotated[str | None, typer.Option("--to", help="Up to, not including, this time or offset of a letter.")]
States = Annotated[
    list[str] | None, typer.Option("--state", help="open, redriven or quarantined; may be repeated (default: all).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it; without this, it is only told what would be done.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why, for the operations journal; needed with --apply.")]


def selection(
    topics: list[str] | None,
    error: str | None,
    error_pattern: str | None,
    key: str | None,
    at: list[str] | None,
    partitions: list[int] | None,
    since: str | None,
    until: str | None,
    states: list[str] | None = None,
) -> "Selection":
    """The letters that these options mean. Raises BadParameter."""
    from voucher_ledger.core.messages import COMMANDS_BY_TOPIC
    from voucher_ledger.replay.dead_letters.choice import Filter, State
    from voucher_ledger.replay.dead_letters.selection import Selection

    strange = sorted(set(topics or ()) - {str(topic) for topic in COMMANDS_BY_TOPIC})
    if strange:
        raise typer.BadParameter(f"no command topic: {', '.join(strange)}", param_hint="--topic")
    states = states or [state.value for state in State]
    unknown = sorted(set(states) - {state.value for state in State})
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is none of {', '.join(State)}", param_hint="--state")
    try:
        pattern = None if error_pattern is None else re.compile(error_pattern)
    except re.error as fault:
        raise typer.BadParameter(str(fault), param_hint="--error-regex") from fault
    chosen = Filter(
        frozenset(topics or ()), error, pattern, None if key is None else key.encode(),
        frozenset(place_of(text) for text in at or ()), frozenset(map(State, states)),
    )  # fmt: skip
    return Selection(chosen, frozenset(partitions or ()), *bounds_of(since, until))


def bound_of(text: str | None, option: str) -> Bound:
    """The bound that `option` gives. Raises BadParameter."""
    try:
        return Bound() if text is None else bound(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def bounds_of(since: str | None, until: str | None) -> tuple[Bound, Bound]:
    """The bounds of --from and --to. Raises BadParameter: also where nothing can lie between them, which would look as
    if nothing was there.
    """
    first, last = bound_of(since, "--from"), bound_of(until, "--to")
    for begin, end in ((first.offset, last.offset), (first.time_ms, last.time_ms)):
        if begin is not None and end is not None and begin >= end:
            why = f"{since} is not before --to {until}: nothing lies between them"
            raise typer.BadParameter(why, param_hint="--from")
    return first, last


def place_of(text: str, parameter: str = "--at") -> tuple[int, int]:
    """The letter at PARTITION/OFFSET, which `parameter` gives. Raises BadParameter."""
    try:
        return place(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=parameter) from error


def needs_reason(apply: bool, reason: str | None) -> None:
    """Raise BadParameter where something is to be changed and nobody says why."""
    if apply and not (reason or "").strip():
        raise typer.BadParameter("--apply changes something: say why, for the journal", param_hint="--reason")


def asked(context: typer.Context) -> dict[str, Any]:
    """The arguments as they were given, for the journal."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in context.params.items() if value}

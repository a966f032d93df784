"""What `voucher-ledger replay what-if` does."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg

from voucher_ledger.core.messages import ROOM_BY_COMMAND_TOPIC
from voucher_ledger.core.records import Command
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.core.wording import counted
from voucher_ledger.ledger.audit import audit
from voucher_ledger.replay.bar import Bar
from voucher_ledger.replay.bounds import Bound
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.operations import Operation, reason_or, recorded
from voucher_ledger.replay.printing import told
from voucher_ledger.replay.reading import Span
from voucher_ledger.replay.what_if import notes
from voucher_ledger.replay.what_if.commands_read import (
    CommandsRead,
    opened_once,
    openings,
    parts_of,
    refuse_nothing_played,
)
from voucher_ledger.replay.what_if.cutting import grid_ceiling, windows
from voucher_ledger.replay.what_if.moment import Moment, bound_at, shown
from voucher_ledger.replay.what_if.played import CAMPAIGNS_MAX, Belonging, ClaimPlaces, Played
from voucher_ledger.replay.what_if.prices import Prices
from voucher_ledger.replay.what_if.recorded import count_recorded
from voucher_ledger.replay.what_if.render import show
from voucher_ledger.replay.what_if.report import BASELINE, CHANGED, RECORDED, Report
from voucher_ledger.replay.what_if.rules import CAMPAIGN_TOPIC, BadRules, Changes, check
from voucher_ledger.replay.what_if.sandbox import Sandboxes, sandboxes
from voucher_ledger.replay.what_if.side import Side, decide_on_all
from voucher_ledger.replay.what_if.tally import Tally
from voucher_ledger.replay.what_if.vouchers import gained_and_lost
from voucher_ledger.run.rooms import ROOMS
from voucher_ledger.runtime import topics
from voucher_ledger.runtime.errors import SessionLost, Unreachable
from voucher_ledger.runtime.settings import Settings

VERB = "what-if"
REASON = "a question: nothing live is changed"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: `changes` of rules (none: a self check), of the campaigns `chosen` (none: those that are changed,
    or else all), in a part of the day, on the server of `sandbox` (None: the ledger's); `keep` the sandboxes.
    The topics are read at `rate` records a second at most.
    """

    changes: Changes
    chosen: frozenset[str] = frozenset()
    since: Moment | None = None
    until: Moment | None = None
    sandbox: str | None = None
    keep: bool = False
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class _Day:
    """What is played: the records of `parts`, of `chosen` campaigns (none: all), with the openings of all campaigns."""

    since: Bound
    until: Bound
    parts: Sequence[Span]
    openings: Sequence[Command]
    chosen: frozenset[str]


def run(
    settings: Settings, request: Request, *, reason: str | None, arguments: dict[str, Any], json: bool
) -> int:  # fmt: skip
    """Play, compare and print.

    Returns:
        0 done; 1 a self check found a difference, or a sandbox's audit failed. Raises Refused, BadRules, Unread,
        Unreachable, NotSetUp.
    """
    day = _day(settings, request)
    with recorded(settings, VERB, reason_or(reason, REASON), arguments) as operation:
        with sandboxes(request.sandbox or settings.postgres) as made:
            _tell_leftovers(operation, *made.remove_leftovers())
            try:
                report = _play(settings, request, day, made)
            except (psycopg.OperationalError, psycopg.InterfaceError, SessionLost) as error:
                cause = str(error).strip().removeprefix("Postgres: ") or type(error).__name__
                raise Unreachable(f"Postgres: {cause}") from error
            if request.keep:
                operation.result["kept"] = made.keep()
                sys.stderr.write(f"kept: {', '.join(operation.result['kept'])}\n")
        _sum_up(operation, report)
    return told(report, show, json=json)


def _tell_leftovers(operation: Operation, removed: list[str], others: list[str]) -> None:
    if removed:
        operation.result["leftovers_removed"] = removed
        sys.stderr.write(f"removed what a killed run had left: {', '.join(removed)}\n")
    if others:
        sys.stderr.write(f"left by a killed run of another login, who must drop it: {', '.join(others)}\n")


def _day(settings: Settings, request: Request) -> _Day:
    since, until = bound_at(settings, request.since), bound_at(settings, request.until)
    if since.time_ms is not None and until.time_ms is not None and since.time_ms >= until.time_ms:
        raise Refused(f"--from {shown(since)} is not before --to {shown(until)}")
    parts = parts_of(settings, since, until)
    opened = openings(settings, parts, request.rate)
    opened_once(opened, sorted({*request.changes, *request.chosen}))
    strange = sorted(set(request.changes) - request.chosen) if request.chosen else []
    if strange:
        raise Refused(f"the rules of {strange[0]} are changed, but --campaign leaves it out")
    decoder = CommandDecoder(CAMPAIGN_TOPIC)
    for opening in opened:
        if opening.data["campaign_id"] in request.changes:
            check(decoder, opening, request.changes)
    chosen = request.chosen or frozenset(request.changes)
    return _Day(since, until, parts, opened, chosen)


def _play(settings: Settings, request: Request, day: _Day, made: Sandboxes) -> Report:
    ids = {opening.data["campaign_id"] for opening in day.openings}
    if len(ids) > CAMPAIGNS_MAX:
        raise Refused(f"{len(ids):,} campaigns were opened by then; at most {CAMPAIGNS_MAX:,} can be told apart")
    claim_places = ClaimPlaces(day.parts, ids)
    belonging = Belonging(claim_places, day.chosen, whole=day.since.time_ms is None)
    played = Played(day.parts)
    read = CommandsRead(settings, day.parts, belonging, played, request.rate)
    only = next(iter(day.chosen)) if len(day.chosen) == 1 else None
    rooms = {name: make(settings) for name, make in ROOMS.items()}
    partitions = {
        str(room): topics.describe(settings, topic).partitions for topic, room in ROOM_BY_COMMAND_TOPIC.items()
    }
    sides: dict[str, Side] = {}
    with ExitStack() as open_sides:
        open_sides.callback(belonging.close)
        for name in (BASELINE, CHANGED) if request.changes else (BASELINE,):
            rules: Changes = request.changes if name == CHANGED else {}
            side = Side(settings, made.make(name), rooms, partitions, claim_places, rules, only)
            open_sides.callback(side.close)
            sides[name] = side
        baseline, changed = sides[BASELINE], sides.get(CHANGED)
        if changed is not None:
            changed.prices = Prices(baseline.connection, changed.connection)
        _decide(read, [*sides.values()], sum(part.end - part.start for part in day.parts))
        refuse_nothing_played(read.by_type + read.time_driven, day.chosen)
        recorded_tally = Tally(baseline.connection, "recorded", only)
        unanswered, strange = count_recorded(settings, played, recorded_tally, request.rate)
        report = Report(
            {RECORDED: recorded_tally.figures(), **{name: side.tally.figures() for name, side in sides.items()}},
            request.changes,
            {"from": shown(day.since), "to": shown(day.until)},
            {f"{part.topic}/{part.partition}": [part.start, part.end] for part in day.parts},
            read.by_type, read.time_driven, read.undecidable, belonging.left_out, unanswered,
        )  # fmt: skip
        report.audits_failed = [
            f"{name}: {check.name}: {counted(check.offending_count, 'row')}"
            for name, side in sides.items()
            for check in audit(side.connection).checks
            if not check.passed
        ]
        report.stand_ins = (changed or baseline).stand_ins.count
        if changed is not None:
            report.gained, report.lost = gained_and_lost(baseline.connection, changed.connection)
            report.repriced = 0 if changed.prices is None else changed.prices.count
        report.notes = notes.of(report, day.openings, day.since, sides, strange)
        return report


def _decide(read: CommandsRead, sides: Sequence[Side], total: int) -> None:
    with Bar("deciding again", total) as bar:
        for window in windows(read):
            decide_on_all(sides, window)
            bar.update(read.read)
    for side in sides:
        side.finish(grid_ceiling(read.last_ms))


def _sum_up(operation: Operation, report: Report) -> None:
    """What the journal keeps: enough to know the answer, not the tables."""
    operation.result["commands"] = sum(report.commands.values())
    operation.result["granted"] = {
        name: sum(figures.granted for figures in side.values()) for name, side in report.sides.items()
    }
    operation.result["spend_minor"] = {
        name: sum(figures.spend_minor for figures in side.values()) for name, side in report.sides.items()
    }
    operation.result["passed"] = report.passed


__all__ = ["BadRules", "Request", "run"]

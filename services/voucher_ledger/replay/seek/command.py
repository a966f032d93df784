"""What `voucher-ledger replay seek` does."""

from typing import Any

import orjson
import psycopg

from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.operations import connect, recorded
from voucher_ledger.replay.reading import Span
from voucher_ledger.replay.seek.plan import Kind, Plan, Standing, plan
from voucher_ledger.replay.seek.session import SeekSession
from voucher_ledger.replay.seek.skipped import Skipped, named, read_skipped
from voucher_ledger.replay.seek.standing import Target, find, read
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.windows import Windows

NAMED_MAX = 20
_NO_WINDOWS = Windows()


def run(
    settings: Settings,
    room: str,
    partition: int,
    to: int,
    *,
    count_max: int,
    apply: bool,
    reason: str | None,
    json: bool,
    windows: Windows = _NO_WINDOWS,
) -> int:
    """Move the position and the group's offset of a room's partition to `to` (`apply`), or tell what that would do.

    Returns:
        0 done, or it may be done; 1 refused. Raises Misnamed, Unreachable, NotSetUp, SessionLost, Inconsistent.
    """
    target = find(settings, room, partition)
    if not apply:
        with connect(settings) as connection:
            _, planned, skipped = _planned(settings, connection, target, to, count_max, reason, json)
        _tell(planned, skipped, applied=False, json=json)
        return ExitCode.DONE
    arguments = {"room": room, "partition": partition, "to": to, "max": count_max}
    # Before the first look: an attempt that is refused is in the journal too.
    with recorded(settings, "seek", reason, arguments) as operation, connect(settings) as connection:
        standing, planned, skipped = _planned(settings, connection, target, to, count_max, reason, json)
        operation.result.update({"from": standing.decided, "committed": standing.committed})
        with SeekSession(settings, connection, target, windows) as session:
            session.run(standing, planned, skipped)
        operation.result.update(position=to, dead_lettered=len(skipped.letters))
    _tell(planned, skipped, applied=True, json=json)
    return ExitCode.DONE


def _planned(
    settings: Settings, connection: psycopg.Connection, target: Target, to: int, count_max: int, reason: str | None,
    json: bool,
) -> tuple[Standing, Plan, Skipped]:  # fmt: skip
    """Where the partition stands, what a seek does to it, and what it skips. Raises Refused; what was found is told."""
    standing = read(settings, connection, target, to)
    planned = plan(standing, to)
    skipped = Skipped()
    if planned.refusal is not None:
        _tell(planned, skipped, applied=False, json=json)
        raise Refused(planned.refusal)
    start = max(standing.decided, standing.low)  # what lies before the topic's first record can't be read any more
    if start < to and planned.kind is Kind.FORWARD:
        span = Span(target.topic, target.partition, start, to)
        skipped = read_skipped(settings, span, (reason or "no reason yet").strip(), count_max)
    return standing, planned, skipped


def _tell(planned: Plan, skipped: Skipped, *, applied: bool, json: bool) -> None:
    if json:
        document: dict[str, Any] = {
            "applied": applied, "kind": planned.kind.value, "to": planned.to, "steps": planned.steps,
            "refusal": planned.refusal, "skipped": [letter.offset for letter in skipped.letters],
        }  # fmt: skip
        print(orjson.dumps(document).decode())
        return
    for number, step in enumerate(planned.steps):
        print(step if number == 0 else f"  {number}. {step}")
    for line in named(skipped.letters[:NAMED_MAX]):
        print(f"     {line}")
    if len(skipped.letters) > NAMED_MAX:
        print(f"     and {len(skipped.letters) - NAMED_MAX:,} more")
    if planned.refusal is None:
        print("done" if applied else "a dry run: --apply --reason WHY does it")

"""Makes the books anew from the event topics, in one transaction: all of them, proven by the audit, or nothing."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event as Stop
from types import MappingProxyType
from typing import Any

import psycopg

from voucher_ledger.campaigns.store import CampaignsRoom
from voucher_ledger.core.records import Event, Place
from voucher_ledger.ledger import accounts, payments, refunds, reservations, vouchers, waiting
from voucher_ledger.ledger.audit import run_checks
from voucher_ledger.ledger.copy import copy_rows
from voucher_ledger.ledger.model import Role, RoleName
from voucher_ledger.replay.answers import EVENT_TOPICS
from voucher_ledger.replay.clock_order import cause_of
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.events_aside import EventsAside
from voucher_ledger.replay.fold import EventData, Fold
from voucher_ledger.replay.fold_campaigns import FoldedCampaigns, in_order
from voucher_ledger.replay.operations import Operation, finish
from voucher_ledger.replay.rebuild_numbers import number_grants
from voucher_ledger.replay.rebuild_seals import write_seals
from voucher_ledger.replay.rebuild_source import Source, compare_with_groups, read_source
from voucher_ledger.replay.rebuild_target import analyze, begun, refuse_unless_empty
from voucher_ledger.replay.rebuild_totals import losses, percents_bp, totals
from voucher_ledger.replay.rebuild_transfers import COLUMNS, Account, Movements, Transfer
from voucher_ledger.replay.spill import Spill, bucket_count
from voucher_ledger.replay.table_hash import table_hashes
from voucher_ledger.replay.topic_reader import NO_PROGRESS, Progress, TopicReader
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.topics import describe

INSTANCE = "rebuild"
WRITE_HOURS_MAX = 12

_BOUNDS = f"""
SET LOCAL statement_timeout = '{WRITE_HOURS_MAX}h'; SET LOCAL idle_in_transaction_session_timeout = '1h';
SET LOCAL lock_timeout = '10s'"""
# Whoever starts a processor on this database meanwhile waits for the end, and then sees all or nothing.
_LOCK = "LOCK TABLE books.position IN ACCESS EXCLUSIVE MODE"
_ADD = """
UPDATE books.account a SET vouchers = a.vouchers + d.vouchers, amount_minor = a.amount_minor + d.amount_minor,
    draws = a.draws + (a.role = 'lease')::int
FROM unnest(%s::text[], %s::books.account_role[], %s::int[], %s::bigint[], %s::bigint[])
  AS d (campaign_id, role, shard, vouchers, amount_minor)
WHERE a.campaign_id = d.campaign_id AND a.role = d.role AND a.shard = d.shard"""
# What devices and channels have had, where a campaign limits it, is a count of the vouchers that were written.
_LIMIT_COUNTS = """
INSERT INTO books.limit_count (kind, campaign_id, name, vouchers, vouchers_max)
SELECT 'device'::books.limit_kind, campaign_id, v.device_id, count(*), (c.limits ->> 'per_device')::bigint
FROM books.voucher v JOIN books.campaign c USING (campaign_id)
WHERE v.device_id IS NOT NULL AND c.limits ->> 'per_device' IS NOT NULL GROUP BY campaign_id, v.device_id, c.limits
UNION ALL
SELECT 'channel', campaign_id, v.channel, count(*), (c.limits -> 'channel_quotas' ->> v.channel)::bigint
FROM books.voucher v JOIN books.campaign c USING (campaign_id)
WHERE c.limits -> 'channel_quotas' ->> v.channel IS NOT NULL GROUP BY campaign_id, v.channel, c.limits"""
_COMMIT_CATEGORY = """
UPDATE books.category_budget SET committed_minor = %s WHERE campaign_id = %s AND category = %s"""
_POSITION = """
INSERT INTO books.position (topic, partition, next_offset, epoch, topic_id, instance, record_time_ms, decided,
    dead_lettered)
VALUES (%s, %s, %s, 1, %s, %s, %s, %s, %s)"""


@dataclass(slots=True)
class RebuildReport:
    """What was (or would be) written. `hashes` are those of `table_hash`, there once it was."""

    applied: bool
    positions: dict[Place, int]
    rows: Counter[str] = field(default_factory=Counter)
    losses: Counter[str] = field(default_factory=Counter)
    hashes: dict[str, str] = field(default_factory=dict)


def rebuild(
    settings: Settings,
    target: str,
    stop: Stop,
    *,
    apply: bool,
    spill_directory: Path | None = None,
    progress: Progress = NO_PROGRESS,
    rate: float | None = None,
    reason: str | None = None,
    arguments: Mapping[str, Any] = MappingProxyType({}),
) -> RebuildReport:
    """Read the topics, and with `apply` write the empty database at the DSN `target`, which is migrated first; its own
    operations journal begins with that, for `reason` and with `arguments`.

    Raises Refused where the topics do not tell the whole or the target is not empty, Unreachable, NotSetUp, Unread,
    and psycopg.Error where Postgres refuses: whatever is raised, nothing was written but an entry in that journal.
    """
    if apply:
        with begun(target, reason, arguments) as operation:
            return _read_and_write(settings, target, stop, spill_directory, progress, rate, operation)
    with postgres.connect(target, application="rebuild") as connection:
        refuse_unless_empty(connection)
    return _read_and_write(settings, target, stop, spill_directory, progress, rate, None)


def _read_and_write(
    settings: Settings, target: str, stop: Stop, spill_directory: Path | None, progress: Progress, rate: float | None,
    operation: Operation | None,
) -> RebuildReport:  # fmt: skip
    """Without an operation in the target's journal nothing is written."""
    reader = TopicReader(settings, stop, progress, rate)
    try:
        events_held = sum(held.high - held.low for held in reader.ranges(set(EVENT_TOPICS.values())).values())
        with Spill(bucket_count(events_held), spill_directory) as spill:
            source = read_source(settings, reader, spill)
            campaigns = totals(source.events)
            report = RebuildReport(
                operation is not None, {place: held.next_offset for place, held in source.positions.items()}
            )
            report.losses = losses(campaigns, source)
            if operation is not None:
                topic_ids = {topic: describe(settings, topic).topic_id for topic in EVENT_TOPICS}
                unmoved = partial(compare_with_groups, settings, source)
                _write(target, source, campaigns, topic_ids, report, operation, unmoved, progress)
            else:
                _count(source.events, report)
    finally:
        reader.close()
    return report


def _count(events: EventsAside, report: RebuildReport) -> None:
    report.rows["campaign"] = len(events.campaigns().campaigns)
    for _, fold in events.folds():
        _count_rows(report, fold)


def _count_rows(report: RebuildReport, fold: Fold) -> None:
    report.rows["voucher"] += len(fold.vouchers)
    report.rows["reservation"] += len(fold.reservations)
    report.rows["payment"] += len(fold.payments)
    report.rows["refund"] += len(fold.refunds)


def _write(
    target: str, source: Source, campaigns: FoldedCampaigns, topic_ids: dict[str, str], report: RebuildReport,
    operation: Operation, refuse_if_moved: Callable[[], None], progress: Progress = NO_PROGRESS,
) -> None:  # fmt: skip
    """`refuse_if_moved` is asked last before COMMIT: hours may have gone by, and a processor been started."""
    progress.turn_to("writing the tables")
    with postgres.connect(target, application="rebuild") as connection, connection.transaction():
        connection.execute(_BOUNDS)
        connection.execute(_LOCK)
        refuse_unless_empty(connection)
        _write_campaigns(connection, source)
        report.rows["campaign"] = len(campaigns.campaigns)
        movements = Movements(report.losses.copy(), percents_bp(source))
        for bucket, fold in source.events.folds():
            _write_users(connection, fold, list(source.events.events(bucket)), movements)
            _count_rows(report, fold)
        _write_transfers(connection, movements.of_leases())
        _write_accounts(connection, movements, set(report.losses))
        for campaign_id, campaign in campaigns.campaigns.items():
            for category, committed_minor in campaign.committed_minor.items():
                connection.execute(_COMMIT_CATEGORY, (committed_minor, campaign_id, category))
        connection.execute(_LIMIT_COUNTS)
        waiting.write_lines(connection, campaigns.lines.values())
        _write_positions(connection, source, topic_ids)
        for place, held in sorted(source.positions.items()):
            first_offset = source.first_offsets.get(place, 0)
            write_seals(connection, place, source.seals.sealed(place, first_offset, held.next_offset))
        progress.turn_to("auditing")
        analyze(connection)
        failed = [check for check in run_checks(connection).checks if not check.passed]
        if failed:
            shown = "; ".join(f"{check.name}: {check.rows[0]}" for check in failed)
            raise Refused(f"the audit of what was written fails, so it was rolled back: {shown}")
        connection.execute(_BOUNDS)
        report.hashes = table_hashes(connection)
        operation.result["rows"] = dict(report.rows)
        finish(connection, operation)
        refuse_if_moved()


def _write_campaigns(connection: psycopg.Connection, source: Source) -> None:
    """By the campaigns' own room: few commands, whose rules are in no event and are read in one place."""
    room = CampaignsRoom()
    state = room.prepare(connection, [], lock=False)
    for event in in_order(source.events.of_campaigns):
        command = source.commands[cause_of(event)]
        room.evolve(state, command, Event(event["type"], event["data"]))
    room.write(connection, state)


def _write_users(connection: psycopg.Connection, fold: Fold, events: Sequence[EventData], movements: Movements) -> None:
    number_grants(fold, events)
    vouchers.insert(connection, list(fold.vouchers.values()))
    reservations.insert(connection, list(fold.reservations.values()))
    payments.insert(connection, list(fold.payments.values()))
    refunds.insert(connection, list(fold.refunds.values()))
    waiting.insert(connection, list(fold.waiting.places.values()))
    _write_transfers(connection, movements.of_users(fold, events))


def _write_transfers(connection: psycopg.Connection, transfers: Iterable[Transfer]) -> None:
    copy_rows(connection, f"COPY books.transfer ({COLUMNS})", (transfer.line() for transfer in transfers))


def _write_accounts(connection: psycopg.Connection, movements: Movements, honoured: set[str]) -> None:
    """The balances that the transfers leave. A shard that granted has all its accounts: movements need them there."""
    roles: list[RoleName] = [Role.LEASE, Role.GRANTED, Role.HELD, Role.SPENT]
    shards = {(campaign_id, shard) for campaign_id, role, shard in movements.vouchers if role == Role.GRANTED}
    keys: list[Account] = [(campaign_id, role, shard) for campaign_id, shard in shards for role in roles]
    keys += [(campaign_id, Role.LOSS, shard) for campaign_id, shard in shards if campaign_id in honoured]
    accounts.ensure(connection, keys)
    moved = accounts.in_lock_order(movements.vouchers)
    changed = connection.execute(
        _ADD,
        (
            [key[0] for key in moved],
            [key[1] for key in moved],
            [key[2] for key in moved],
            [movements.vouchers[key] for key in moved],
            [movements.amounts_minor[key] for key in moved],
        ),
    )
    if changed.rowcount != len(moved):
        raise Refused(f"{len(moved) - changed.rowcount} accounts that were moved do not exist")


def _write_positions(connection: psycopg.Connection, source: Source, topic_ids: dict[str, str]) -> None:
    for (topic, partition), held in sorted(source.positions.items()):
        connection.execute(
            _POSITION,
            (
                topic, partition, held.next_offset, topic_ids[topic], INSTANCE, held.record_time_ms, held.decided,
                held.dead_lettered,
            ),
        )  # fmt: skip

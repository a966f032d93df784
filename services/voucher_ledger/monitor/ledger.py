"""Reads what the ledger and the topics say, with the reader's role: balances, campaigns, lag. Changes neither."""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import partial
from typing import NamedTuple

import psycopg

from voucher_ledger.monitor.facts import Facts, Lag, Reading
from voucher_ledger.monitor.forecast import Tranche
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.status.read import Reader
from voucher_ledger.status.snapshot import VOUCHER, PartitionStatus

READER_ROLE = "voucher_ledger_reader"
CAMPAIGNS_MAX = 64

# Those that are wanted first, then those that run now, then the latest to end: those that nobody looks at any more are
# left out.
_CAMPAIGNS = """
SELECT campaign_id, name, state, currency, face_value_minor, extract(epoch FROM starts_at)::bigint,
       extract(epoch FROM ends_at)::bigint
FROM ledger.campaign
ORDER BY (campaign_id = ANY(%(wanted)s)) DESC, (state <> 'closed' AND starts_at <= now() AND now() < ends_at) DESC,
    ends_at DESC, campaign_id LIMIT %(count_max)s"""
# Of these campaigns alone: years of others must not be read each two seconds.
_BALANCES = "SELECT campaign_id, role, unit, balance FROM ledger.balance WHERE campaign_id = ANY(%s)"
_TRANCHES = """
SELECT campaign_id, extract(epoch FROM at)::bigint, quota
FROM ledger.tranche WHERE campaign_id = ANY(%s) ORDER BY campaign_id, place"""
# A row a partition of a campaign, its head by primary key: nobody who waits is counted one by one.
_WAITING = """
SELECT campaign_id, sum(waiting)::bigint, extract(epoch FROM min(head_queued_at))::float8
FROM ledger.waiting_line WHERE waiting > 0 AND campaign_id = ANY(%s) GROUP BY campaign_id"""


class Waiting(NamedTuple):
    """Users in a campaign's waiting room, the first of them since then (seconds since 1970)."""

    users: int
    since: float | None


class LedgerReader:
    """Keeps its connections between readings, and Postgres' anew after one that was lost. `close` it at the end."""

    def __init__(self, settings: Settings) -> None:
        self._reader = Reader(settings, application="monitor", role=READER_ROLE)

    def read(self, wanted: Collection[str] = ()) -> Reading:
        """Read everything once: of campaigns CAMPAIGNS_MAX, the `wanted` first and all of these.

        Raises:
            Unreachable: Kafka or Postgres does not answer.
            NotSetUp: tables, topics or the reader's role are not there.
        """
        partitions, campaigns = self._reader.look(partial(read_facts, wanted=wanted))
        return Reading(time.time(), campaigns, lags(partitions))

    def close(self) -> None:
        """Leave Kafka and Postgres."""
        self._reader.close()


def read_facts(connection: psycopg.Connection, wanted: Collection[str] = ()) -> dict[str, Facts]:
    """The campaigns of `LedgerReader.read`, in the caller's snapshot: a campaign without its balances looks sold out.

    Raises psycopg.Error.
    """
    bounds = {"wanted": [*wanted], "count_max": max(CAMPAIGNS_MAX, len(wanted))}
    campaigns = connection.execute(_CAMPAIGNS, bounds).fetchall()
    read = ([row[0] for row in campaigns],)
    balances: defaultdict[str, dict[tuple[str, bool], int]] = defaultdict(dict)
    for of, role, unit, balance in connection.execute(_BALANCES, read):
        balances[of][role, unit == VOUCHER] = balance
    tranches: defaultdict[str, list[Tranche]] = defaultdict(list)
    for of, at, quota in connection.execute(_TRANCHES, read):
        tranches[of].append(Tranche(at, quota))
    waiting = {of: Waiting(users, since) for of, users, since in connection.execute(_WAITING, read)}
    return {
        row[0]: facts_of(row, balances[row[0]], tuple(tranches[row[0]]), waiting.get(row[0], Waiting(0, None)))
        for row in campaigns
    }


def facts_of(
    row: tuple[str, str, str, str, int, int, int],
    balances: dict[tuple[str, bool], int],
    tranches: tuple[Tranche, ...],
    waiting: Waiting,
) -> Facts:
    """A row of _CAMPAIGNS with its balances, by role and whether they are of vouchers (else money).

    Funding is a contra account: minus it is what was ever put in.
    """

    def of(vouchers: bool, *roles: str) -> int:
        return sum(balances.get((role, vouchers), 0) for role in roles)

    return Facts(
        *row,
        tranches=tranches,
        quota=-of(True, "funding"),
        cards_left=of(True, "pool", "lease"),
        cards_out=of(True, "granted", "held", "spent"),
        budget_minor=-of(False, "funding"),
        budget_left_minor=of(False, "pool", "lease"),
        overspent_minor=-of(False, "loss"),
        waiting=waiting.users,
        waiting_since=waiting.since,
    )


def lags(partitions: Iterable[PartitionStatus]) -> tuple[Lag, ...]:
    """The lag of each command topic: records of all partitions, seconds of the one furthest behind."""
    records: dict[str, int] = {}
    seconds: dict[str, float | None] = {}
    unpublished: dict[str, int | None] = {}
    for partition in partitions:
        topic = partition.topic
        before, more = unpublished.get(topic, 0), partition.unpublished_records
        unpublished[topic] = None if before is None or more is None else before + more
        records[topic] = records.get(topic, 0) + partition.lag_records
        longest, here = seconds.get(topic, 0.0), partition.lag_seconds
        seconds[topic] = None if longest is None or here is None else max(longest, here)
    return tuple(Lag(topic, records[topic], seconds[topic], unpublished[topic]) for topic in records)

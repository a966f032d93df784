"""Deciders that race for the last places of a device or channel: no place is given twice, and none is kept back."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import orjson
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.property.by_hand import claim, step
from tests.property.deciding import PARTITIONS, Ledger, Processor, Step, item_of
from tests.property.limited import QUOTA, bounds_of, claims, limits, open_limited
from tests.property.stories import Batch
from tests.property.test_one_decider import STEADY
from voucher_ledger.claims.state import Claims
from voucher_ledger.core.records import Command
from voucher_ledger.ledger import limit_counts
from voucher_ledger.ledger.model import LimitKey
from voucher_ledger.replay.table_hash import table_hashes

pytestmark = pytest.mark.integration

THREADS_SECONDS_MAX = 60
DEVICE = {"device_id": "d-1"}
LIMIT_CHECK = "limit_not_passed"

Answered = list[tuple[Step, dict[str, Any]]]
"""Claims, each with the event that answers it."""


@pytest.fixture(scope="module")
def processors(ledger: Ledger) -> Iterator[list[Processor]]:
    """A claims processor on a connection of its own for each partition."""
    with ExitStack() as stack:
        made = [Processor(ledger.dsn, "claims") for _ in range(PARTITIONS)]
        for processor in made:
            stack.enter_context(closing(processor.connection))
        yield made


def begin(ledger: Ledger, limits: dict[str, Any], processors: list[Processor]) -> None:
    """A campaign with these limits, and a partition of it to each processor."""
    open_limited(ledger, limits)
    for partition, processor in enumerate(processors):
        processor.take_over([partition])


def race(processors: list[Processor], shares: list[list[Batch]]) -> tuple[Answered, list[str]]:
    """Decide all shares at once; what was answered, and why batches were decided again."""
    start = threading.Barrier(len(processors))

    def decide(processor: Processor, share: list[Batch]) -> Answered:
        start.wait(THREADS_SECONDS_MAX)
        return [pair for batch in share for pair in zip(batch, map(orjson.loads, processor.decide(batch)), strict=True)]

    with capture_logs() as logs, ThreadPoolExecutor(len(processors)) as pool:
        futures = [pool.submit(decide, *pair) for pair in zip(processors, shares, strict=True)]
        answered = [pair for future in futures for pair in future.result(THREADS_SECONDS_MAX)]
    return answered, [line["cause"] for line in logs if "cause" in line]


@given(limited=limits(), told=claims(users=QUOTA), size=st.integers(1, 12))
@settings(STEADY, max_examples=20, derandomize=False, database=None)
def test_deciders_at_once_give_out_every_place_and_none_twice(
    ledger: Ledger, processors: list[Processor], limited: dict[str, Any], told: list[Step], size: int
) -> None:
    begin(ledger, limited, processors)
    own = [[said for said in told if said.partition == partition] for partition in range(PARTITIONS)]
    shares = [[share[start : start + size] for start in range(0, len(share), size)] for share in own]
    answered, causes = race(processors, shares)
    assert [letter.error for processor in processors for letter in processor.letters] == []
    assert [cause for cause in causes if "deadlock" in cause] == []
    granted = Counter(
        counted
        for claimed, answer in answered
        if answer["type"] == "voucher.granted"
        for counted, _, _ in bounds_of(claimed, limited)
    )
    for claimed, answer in answered:
        reached = {detail: (granted[counted], most) for counted, most, detail in bounds_of(claimed, limited)}
        assert [detail for detail, (count, most) in reached.items() if count > most] == []
        if answer["type"] == "voucher.rejected":
            count, most = reached[answer["data"]["detail"]]
            assert count == most, f"{claimed} was refused with {most - count} places left"
    assert ledger.faults() == []


def begun(processor: Processor, told: Step) -> tuple[Claims, Command]:
    """The working set of one claim, decided and not yet written."""
    command = item_of(told)
    assert isinstance(command, Command)
    state = processor.room.prepare(processor.connection, [command], lock=False)
    processor.room.load(processor.connection, state, [command], lock=False)
    event = processor.room.decide(state, command)
    processor.room.evolve(state, command, event)
    assert event.type == "voucher.granted"
    return state, command


def last_place_twice(ledger: Ledger, processors: list[Processor]) -> tuple[Claims, Step]:
    """Two see the last place of a device free, and the second has taken it: what the first is about to write."""
    begin(ledger, {"per_device": 1, "channel_quotas": {"app": 9}}, processors)
    told = step(0, "claims", claim("c-0", "u-0", **DEVICE))
    state, _ = begun(processors[0], told)
    processors[1].decide([step(1, "claims", claim("c-1", "u-1", **DEVICE))])
    return state, told


def test_who_comes_second_to_the_last_place_is_stopped_and_decides_again(
    ledger: Ledger, processors: list[Processor]
) -> None:
    state, told = last_place_twice(ledger, processors)
    first = processors[0]
    with pytest.raises(psycopg.errors.CheckViolation, match=LIMIT_CHECK), first.connection.transaction():
        first.room.write(first.connection, state)
    (event,) = map(orjson.loads, first.decide([told]))
    assert (event["data"]["reason"], event["data"]["detail"]) == ("user_limit", "device")
    assert ledger.faults() == []


def test_without_the_databases_own_bound_the_last_place_is_given_twice(
    ledger: Ledger, processors: list[Processor]
) -> None:
    """The negative control of the one above, and of the audit."""
    (rule,) = ledger.connection.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", (LIMIT_CHECK,)
    ).fetchone() or (None,)
    ledger.connection.execute(f"ALTER TABLE books.limit_count DROP CONSTRAINT {LIMIT_CHECK}".encode())
    try:
        state, _ = last_place_twice(ledger, processors)
        first = processors[0]
        with first.connection.transaction():
            first.room.write(first.connection, state)
        assert any(
            "device_and_channel_limits_are_kept" in fault and "'vouchers': 2" in fault for fault in ledger.faults()
        )
    finally:
        ledger.begin()
        ledger.connection.execute(f"ALTER TABLE books.limit_count ADD CONSTRAINT {LIMIT_CHECK} {rule}".encode())


def test_two_for_the_last_two_places_need_not_decide_again(ledger: Ledger, processors: list[Processor]) -> None:
    begin(ledger, {"per_device": 2}, processors)
    first, second = processors[:2]
    state, _ = begun(first, step(0, "claims", claim("c-0", "u-0", **DEVICE)))
    second.decide([step(1, "claims", claim("c-1", "u-1", **DEVICE))])
    with first.connection.transaction():
        first.room.write(first.connection, state)
    assert limit_counts.load(first.connection, [("device", "spring-1", "d-1")]) == {("device", "spring-1", "d-1"): 2}


def test_who_decides_again_holds_the_places_before_it_looks_also_those_never_taken(
    ledger: Ledger, processors: list[Processor]
) -> None:
    """Else it could lose the same race again and again."""
    begin(ledger, {"per_device": 1}, processors)
    first, second = processors[:2]
    for partition, processor in enumerate((first, second)):  # each has a lease then, and does not wait for the pool
        processor.decide([step(partition, "claims", claim(f"c-{partition}", f"u-{partition}"))])
    command = item_of(step(0, "claims", claim("c-2", "u-2", **DEVICE), offset=1))
    assert isinstance(command, Command)
    wanted = step(1, "claims", claim("c-3", "u-3", **DEVICE), offset=1)
    with first.connection.transaction():
        state = first.room.prepare(first.connection, [command], lock=True)
        second.connection.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            second.decide([wanted])
        second.connection.execute("RESET lock_timeout")
        first.room.load(first.connection, state, [command], lock=True)
        event = first.room.decide(state, command)
        first.room.evolve(state, command, event)
        first.room.write(first.connection, state)
    assert event.type == "voucher.granted"
    (answer,) = map(orjson.loads, second.decide([wanted]))
    assert answer["data"]["detail"] == "device"
    assert ledger.connection.execute("SELECT granted, per_device FROM ledger.device").fetchall() == [(1, 1)]


def test_two_that_add_to_the_same_counts_in_any_order_do_not_wait_for_one_another(
    ledger: Ledger, processors: list[Processor]
) -> None:
    """A third holds the row in the middle until both wait: in two orders each would then hold what the other wants."""
    begin(ledger, {"per_device": 9}, processors)
    keys: list[LimitKey] = [("device", "spring-1", f"d-{n}") for n in (1, 2, 3)]
    most = dict.fromkeys(keys, 9)

    def add(processor: Processor, order: list[LimitKey]) -> dict[LimitKey, int]:
        return limit_counts.add(processor.connection, dict.fromkeys(order, 1), most)

    with ThreadPoolExecutor(2) as pool:
        holder = processors[2].connection
        with holder.transaction():
            limit_counts.lock(holder, {keys[1]: 9})
            futures = [pool.submit(add, *pair) for pair in zip(processors[:2], (keys, keys[::-1]), strict=True)]
            until_waiting(ledger.connection, 2)
        counts = [future.result(THREADS_SECONDS_MAX) for future in futures]
    assert sorted(sum(found.values()) for found in counts) == [3, 6]


def until_waiting(connection: psycopg.Connection, sessions: int) -> None:
    """Return once so many sessions wait for a lock."""
    deadline = time.monotonic() + THREADS_SECONDS_MAX
    waiting = """SELECT count(*) FROM pg_stat_activity, pg_sleep(0.02)
        WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    while connection.execute(waiting).fetchone() != (sessions,):
        assert time.monotonic() < deadline, "nobody waits"


def test_a_count_that_was_locked_and_stayed_zero_is_told_nowhere(ledger: Ledger) -> None:
    """A rebuilt ledger has no such row, and is equal."""
    open_limited(ledger, {"per_device": 1})
    before = table_hashes(ledger.connection)
    limit_counts.lock(ledger.connection, {("device", "spring", "refused"): 1})
    assert ledger.connection.execute("SELECT vouchers FROM books.limit_count").fetchall() == [(0,)]
    assert table_hashes(ledger.connection) == before
    assert ledger.connection.execute("SELECT * FROM ledger.device").fetchall() == []

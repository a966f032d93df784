"""A user's claims through several partitions at once: each is granted or refused, none is at fault for a lost race."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from threading import Barrier

import psycopg
import pytest

from tests.property.by_hand import FACE_MINOR, campaign_open, claim, step
from tests.property.deciding import PARTITIONS, Ledger, Processor
from voucher_ledger.claims.state import Claims
from voucher_ledger.claims.store import ClaimsRoom
from voucher_ledger.core.records import Command
from voucher_ledger.runtime.outbox import DeadLetter

pytestmark = pytest.mark.integration

CLAIMS_EACH = 60
_BLOCKED = "SELECT cardinality(pg_blocking_pids(%s)) > 0 FROM pg_sleep(0.02)"


@pytest.fixture
def processors(ledger: Ledger) -> Iterator[list[Processor]]:
    """A claims process for each partition, and a campaign in which one user may have many vouchers."""
    opening = campaign_open(quota=5_000, budget_minor=5_000 * FACE_MINOR, per_user_limit=1_000)
    ledger.begin().decide([step(0, "campaigns", opening)])
    with ExitStack() as stack:
        made = [Processor(ledger.dsn, "claims") for _ in range(PARTITIONS)]
        for partition, processor in enumerate(made):
            stack.enter_context(closing(processor.connection))
            processor.take_over([partition])
        yield made


def test_no_claim_is_a_dead_letter_for_its_user_s_claims_through_other_partitions(
    ledger: Ledger, processors: list[Processor]
) -> None:
    together = Barrier(PARTITIONS, timeout=30)

    def claim_again_and_again(partition: int) -> list[DeadLetter]:
        together.wait()
        for number in range(CLAIMS_EACH):
            wanted = step(partition, "claims", claim(f"c-{partition}-{number}", "ana"), offset=number)
            processors[partition].decide([wanted])
        return processors[partition].letters

    with ThreadPoolExecutor(PARTITIONS) as pool:
        letters = [letter for found in pool.map(claim_again_and_again, range(PARTITIONS)) for letter in found]
    assert [letter.error for letter in letters] == []
    with psycopg.connect(ledger.dsn) as connection:
        rows = connection.execute("SELECT ordinal FROM books.voucher ORDER BY ordinal").fetchall()
    assert [ordinal for (ordinal,) in rows] == list(range(1, PARTITIONS * CLAIMS_EACH + 1))


class Beaten(ClaimsRoom):
    """Between its load and its write another partition wants a voucher of the same user."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__(PARTITIONS)
        self._meanwhile = meanwhile
        self.loads: list[bool] = []

    def load(self, connection: psycopg.Connection, state: Claims, commands: Sequence[Command], *, lock: bool) -> None:
        super().load(connection, state, commands, lock=lock)
        self.loads.append(lock)
        self._meanwhile()


def test_a_batch_that_is_decided_again_can_t_lose_the_race_once_more(
    ledger: Ledger, processors: list[Processor]
) -> None:
    first, second = processors[:2]
    first.decide([step(0, "claims", claim("a-0", "ana"))])
    began: list[Future[list[bytes]]] = []

    def meanwhile() -> None:
        """Another claim through the second partition: decided by now, or waiting for the first."""
        if began and not began[-1].done():
            return
        number = len(began)
        wanted = step(1, "claims", claim(f"b-{number}", "ana"), offset=number)
        began.append(pool.submit(second.decide, [wanted]))
        with psycopg.connect(ledger.dsn, autocommit=True) as watcher:
            while not began[-1].done():
                row = watcher.execute(_BLOCKED, (second.connection.info.backend_pid,)).fetchone()
                if row is not None and row[0]:
                    return

    room = first.room = Beaten(meanwhile)
    first.take_over([0])
    with ThreadPoolExecutor(1) as pool:
        first.decide([step(0, "claims", claim("a-1", "ana"), offset=1)])
        for each in began:
            each.result(30)
    assert room.loads == [False, True], "the second try holds what the race is about"
    assert (first.letters, second.letters) == ([], [])

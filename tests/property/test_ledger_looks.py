"""What the monitor and `status` read of the ledger is of one moment, and no more than they tell of."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from tests.property.by_hand import START_MS, campaign_open, step
from tests.property.deciding import Ledger
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.monitor.ledger import CAMPAIGNS_MAX, LedgerReader
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.status import read
from voucher_ledger.status.read import Reader

pytestmark = pytest.mark.integration

QUOTA = 10


class Session:
    """The reader's session: how many rows each statement gave, and what happens beside it after one of them."""

    def __init__(self, connection: psycopg.Connection, happens: Callable[[], object], after: int) -> None:
        self.transaction = connection.transaction
        self.rows: list[int] = []
        self._connection = connection
        self._happens = happens
        self._after = after

    def execute(self, *arguments: Any) -> Any:
        cursor = self._connection.execute(*arguments)
        self.rows.append(cursor.rowcount)
        if len(self.rows) == self._after:
            self._happens()
        return cursor


class Looks:
    """A ledger whose topics nobody has; `after` so many statements of a reader its campaign is opened."""

    def __init__(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, after: int = 0) -> None:
        self.ledger = ledger.begin()
        self.settings = Settings(kafka="127.0.0.1:1", postgres=ledger.dsn)
        monkeypatch.setattr(Reader, "_places", lambda _: [])
        monkeypatch.setattr(read, "settled", lambda _: {})
        self._after = after

    def open(self, count: int = 1) -> None:
        tranches = [{"at": rfc3339(START_MS), "quota": QUOTA}]
        opened = [campaign_open(campaign_id=f"c{number:02}", quota=QUOTA, release=tranches) for number in range(count)]
        self.ledger.play([[step(0, "campaigns", one, offset=number) for number, one in enumerate(opened)]])

    def by(self, reader: Reader) -> Session:
        session = Session(reader.ledger.get(), self.open, self._after)
        reader.ledger = SimpleNamespace(get=lambda: session, drop=reader.ledger.drop)  # type: ignore[assignment]
        return session


@pytest.fixture
def looks(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Looks:
    return Looks(ledger, monkeypatch, getattr(request, "param", 0))


@pytest.fixture
def monitor(looks: Looks) -> Iterator[LedgerReader]:
    made = LedgerReader(looks.settings)
    yield made
    made.close()


@pytest.mark.parametrize("looks", [1, 2, 3, 4, 5, 6], indirect=True)
def test_a_campaign_that_is_opened_meanwhile_is_whole_or_not_there(looks: Looks, monitor: LedgerReader) -> None:
    looks.by(monitor._reader)
    first, second = monitor.read().campaigns, monitor.read().campaigns
    assert [*second] == ["c00"]
    for one in (*first.values(), *second.values()):
        assert (one.quota, one.cards_left) == (QUOTA, QUOTA), "it is sold out as it is opened"


@pytest.mark.parametrize("looks", [1, 2, 3, 4], indirect=True)
def test_status_shows_no_campaign_without_its_balances(looks: Looks) -> None:
    reader = Reader(looks.settings, application="test")
    try:
        looks.by(reader)
        first, second = reader.snapshot(), reader.snapshot()
    finally:
        reader.close()
    assert [one.campaign_id for one in second.campaigns] == ["c00"]
    for found in (first, second):
        assert {one.campaign_id for one in found.campaigns} == {one.campaign_id for one in found.balances}


def test_the_monitor_reads_nothing_of_campaigns_that_it_leaves_out(looks: Looks, monitor: LedgerReader) -> None:
    looks.open(CAMPAIGNS_MAX + 20)
    session = looks.by(monitor._reader)
    assert len(monitor.read().campaigns) == CAMPAIGNS_MAX
    # Of each its row, a tranche, and what is in funding, pool and loss, in cards and in money.
    assert sorted(session.rows)[-3:] == [CAMPAIGNS_MAX, CAMPAIGNS_MAX, 6 * CAMPAIGNS_MAX]

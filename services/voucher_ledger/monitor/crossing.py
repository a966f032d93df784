"""Users who order across verticals, counted from the ledger's reservations.

Rollups cannot tell it: whether an order crosses depends on its user's earlier ones, for which the books have no index,
and one kept for this alone would be written at the peak hour with each order. So it is one query over all orders, now
and then and within bounds, or at leisure for a report.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from voucher_ledger.runtime.kept_connection import KeptConnection
from voucher_ledger.runtime.postgres import asking_postgres
from voucher_ledger.runtime.settings import Settings

READER_ROLE = "voucher_ledger_reader"
PAIRS_MAX = 10
# Each names how many verticals: so many exactly, the last so many or more.
VERTICALS = ("1", "2", "3+")

# Beside live traffic. A count of as many orders takes some two seconds of one core (docs/MONITOR.md has the figures).
LIVE_ORDERS_MAX = 500_000
LIVE_SECONDS_MAX = 5
REPORT_SECONDS_MAX = 600

_SETTINGS = """
SELECT set_config('statement_timeout', %s, false), set_config('default_transaction_read_only', 'on', false),
       set_config('work_mem', '64MB', false)"""
# The planner looks at the table's size on disk, so this holds for one that was never analysed too.
_ESTIMATE = "EXPLAIN (FORMAT JSON) SELECT FROM ledger.reservation"

# An order counts whatever became of it. array_agg with DISTINCT sorts, so a pair's names are in one order.
_COUNT = """
WITH ordering AS MATERIALIZED (
    SELECT campaign_id, user_id, array_agg(DISTINCT category) AS categories
    FROM ledger.reservation WHERE campaign_id = ANY(%(campaigns)s) GROUP BY campaign_id, user_id
), pair AS (
    SELECT o.campaign_id, a.category AS first, b.category AS second, count(*) AS users,
           row_number() OVER (PARTITION BY o.campaign_id ORDER BY count(*) DESC, a.category, b.category) AS place
    FROM ordering o, unnest(o.categories) WITH ORDINALITY AS a (category, number),
         unnest(o.categories) WITH ORDINALITY AS b (category, number)
    WHERE cardinality(o.categories) > 1 AND a.number < b.number GROUP BY o.campaign_id, a.category, b.category
)
SELECT campaign_id, least(cardinality(categories), %(verticals)s), NULL, NULL, count(*) FROM ordering GROUP BY 1, 2
UNION ALL
(SELECT campaign_id, NULL, first, second, users FROM pair WHERE place <= %(pairs)s ORDER BY campaign_id, place)"""


class TooCostly(Exception):
    """The count would be, or was, more than the bound allows; the text says so."""


@dataclass(slots=True)
class Crossing:
    """Of one campaign: users by how many verticals they ordered in, as VERTICALS names it, and the commonest pairs."""

    users: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VERTICALS, 0))
    pairs: list[tuple[str, str, int]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As the page reads it."""
        pairs = [{"first": first, "second": second, "users": users} for first, second, users in self.pairs]
        return {"users": self.users, "pairs": pairs}


class CrossingReader:
    """Counts over a connection of its own, kept between counts. `close` it at the end.

    A count of more than `orders_max` orders (None: of any number) is not begun, and one that takes longer than
    `seconds_max` is given up.
    """

    def __init__(
        self, settings: Settings, *, orders_max: int | None = LIVE_ORDERS_MAX, seconds_max: int = LIVE_SECONDS_MAX
    ) -> None:
        self._orders_max = orders_max
        self._seconds_max = seconds_max
        self._connection = KeptConnection(
            settings.postgres, application="monitor-crossing", role=READER_ROLE, set_up=self._bound
        )

    def count(self, campaign_ids: Collection[str]) -> Mapping[str, Crossing]:
        """By campaign, those that have orders.

        Raises:
            TooCostly: more orders than the bound, or no answer within it.
            Unreachable: Postgres does not answer.
            NotSetUp: tables or the reader's role are not there.
        """
        with asking_postgres():
            try:
                connection = self._connection.get()
                self._refuse_too_many(connection)
                values = {"campaigns": list(campaign_ids), "verticals": len(VERTICALS), "pairs": PAIRS_MAX}
                return _by_campaign(connection.execute(_COUNT, values).fetchall())
            except psycopg.errors.QueryCanceled as error:
                raise TooCostly(f"counting users took longer than {self._seconds_max} s") from error

    def close(self) -> None:
        """Leave Postgres."""
        self._connection.drop()

    def _bound(self, connection: psycopg.Connection) -> None:
        connection.execute(_SETTINGS, (f"{self._seconds_max}s",))

    def _refuse_too_many(self, connection: psycopg.Connection) -> None:
        if self._orders_max is None:
            return
        row = connection.execute(_ESTIMATE).fetchone()
        assert row is not None, "EXPLAIN returns a row"
        orders = int(row[0][0]["Plan"]["Plan Rows"])
        if orders > self._orders_max:
            raise TooCostly(f"about {orders:,} orders; beside live traffic at most {self._orders_max:,} are counted")


def _by_campaign(rows: list[tuple[Any, ...]]) -> Mapping[str, Crossing]:
    found: defaultdict[str, Crossing] = defaultdict(Crossing)
    for campaign_id, verticals, first, second, users in rows:
        if verticals is None:
            found[campaign_id].pairs.append((first, second, users))
        else:
            found[campaign_id].users[VERTICALS[verticals - 1]] = users
    return dict(found)

"""Counts what events tell of campaigns: the same for what was recorded and for what a sandbox has decided."""

from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from voucher_ledger.replay.what_if.sandbox import OVER_WHOLE_TABLES

ROWS_ASIDE_MAX: Final = 5_000
# A claim answered so found no card.
_NOTHING: Final = frozenset(["sold_out", "budget_exhausted", "not_released"])
_SOLD_OUT: Final = frozenset(["sold_out", "budget_exhausted"])
# Where an answer names no campaign (an order with a voucher that nobody was granted).
UNKNOWN: Final = ""

_BY_ORDER = """
SELECT o.campaign_id, o.category, o.city_tier, count(*), coalesce(sum(s.discount_minor), 0)::bigint
FROM what_if.{schema}_order o LEFT JOIN (
    SELECT order_id, sum(discount_minor) AS discount_minor FROM what_if.{schema}_spend GROUP BY order_id
) s USING (order_id)
GROUP BY o.campaign_id, o.category, o.city_tier ORDER BY o.campaign_id, o.category, o.city_tier"""


@dataclass(slots=True)
class Share:
    """What a category or a city tier has of a campaign; `spend_minor` is discount paid for and not given back."""

    granted: int = 0
    orders: int = 0
    spend_minor: int = 0


@dataclass(slots=True)
class Figures:
    """What came of one campaign. Answers to a command sent again are not counted. Times are record times in ms.

    `found_nothing_ms` is when a claim first met no card (sold out, not yet released, or sent to the waiting room),
    `sold_out_ms` when one was first refused as sold out or past the budget, `granted_last_ms` when the last card went.
    """

    granted: int = 0
    queued: int = 0
    expired: int = 0
    claims_refused: dict[str, int] = field(default_factory=dict)
    orders: int = 0
    orders_refused: dict[str, int] = field(default_factory=dict)
    orders_cancelled: int = 0
    orders_expired: int = 0
    settled: int = 0
    refunded: int = 0
    payments_refused: dict[str, int] = field(default_factory=dict)
    spend_minor: int = 0
    paid_minor: int = 0
    found_nothing_ms: int | None = None
    sold_out_ms: int | None = None
    granted_last_ms: int | None = None
    by_category: dict[str, Share] = field(default_factory=dict)
    by_city_tier: dict[str, Share] = field(default_factory=dict)


class Tally:
    """Counts one side; what is by order it puts aside in the tables `what_if.<schema>_order` and `_spend`."""

    def __init__(self, connection: psycopg.Connection, schema: str, only_campaign: str | None) -> None:
        """`only_campaign` is what an answer that names no campaign is counted for: the only one that is played."""
        self._connection = connection
        self._schema = schema
        self._unknown = UNKNOWN if only_campaign is None else only_campaign
        self._orders: list[tuple[str, str, str, int | None]] = []
        self._spends: list[tuple[str, int]] = []
        self._figures: dict[str, Figures] = {}
        # (cards, minor units of budget) of each top-up that was booked.
        self.top_ups: dict[str, list[tuple[int, int]]] = {}
        self.events = 0

    def add(self, type_: str, time_ms: int, data: dict[str, Any]) -> None:
        """Count the event of a command of `time_ms` (milliseconds since 1970)."""
        self.events += 1
        if "duplicate" in data:
            return
        figures = self._of(data)
        room = type_.partition(".")[0]
        if room == "voucher":
            _add_claim(figures, type_, time_ms, data)
        elif room == "order":
            self._add_order(figures, type_, data)
        elif room == "payment":
            self._add_payment(figures, type_, data)
        elif type_ == "campaign.topped_up":
            self.top_ups.setdefault(data["campaign_id"], []).append((data["quota"], data["budget_minor"]))
        if len(self._orders) + len(self._spends) >= ROWS_ASIDE_MAX:
            self._put_aside()

    def figures(self) -> dict[str, Figures]:
        """The campaigns by id, in its order, with their categories and city tiers. To be called once, at the end."""
        self._put_aside()
        with self._connection.transaction():
            self._connection.execute(OVER_WHOLE_TABLES, prepare=False)  # several statements
            rows = self._connection.execute(_BY_ORDER.format(schema=self._schema).encode()).fetchall()
        for campaign_id, category, city_tier, orders, spend_minor in rows:
            figures = self._figures.setdefault(campaign_id, Figures())
            for shares, name in ((figures.by_category, category), (figures.by_city_tier, _tier(city_tier))):
                share = shares.setdefault(name, Share())
                share.orders += orders
                share.spend_minor += spend_minor
        return dict(sorted(self._figures.items()))

    def _of(self, data: dict[str, Any]) -> Figures:
        campaign_id = data.get("campaign_id") or self._unknown
        found = self._figures.get(campaign_id)
        if found is None:
            found = self._figures[campaign_id] = Figures()
        return found

    def _add_order(self, figures: Figures, type_: str, data: dict[str, Any]) -> None:
        if type_ == "order.reserved":
            figures.orders += 1
            tier = data.get("city_tier")
            self._orders.append((data["order_id"], data["campaign_id"], data["category"], tier))
        elif type_ == "order.cancelled":
            figures.orders_cancelled += 1
        elif type_ == "order.expired":
            figures.orders_expired += 1
        elif "category" in data:  # the refusal of a reservation, not of what came after it
            _add_refusal(figures.orders_refused, data)

    def _add_payment(self, figures: Figures, type_: str, data: dict[str, Any]) -> None:
        if type_ == "payment.rejected":
            _add_refusal(figures.payments_refused, data)
            return
        if type_ == "payment.settled":
            figures.settled += 1
            figures.paid_minor += data["paid_minor"]
            spend_minor = data["discount_minor"]
        else:
            figures.refunded += 1
            figures.paid_minor -= data["amount_minor"]
            spend_minor = -data["discount_returned_minor"]
        figures.spend_minor += spend_minor
        if spend_minor:
            self._spends.append((data["order_id"], spend_minor))

    def _put_aside(self) -> None:
        tables: list[tuple[str, list[Any]]] = [("order", self._orders), ("spend", self._spends)]
        for table, rows in tables:
            with self._connection.cursor().copy(f"COPY what_if.{self._schema}_{table} FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
            rows.clear()


def _add_claim(figures: Figures, type_: str, time_ms: int, data: dict[str, Any]) -> None:
    if type_ == "voucher.granted":
        figures.granted += 1
        figures.by_city_tier.setdefault(_tier(data.get("city_tier")), Share()).granted += 1
        figures.granted_last_ms = max(time_ms, figures.granted_last_ms or 0)
    elif type_ == "voucher.queued":
        figures.queued += 1
        figures.found_nothing_ms = _earlier(figures.found_nothing_ms, time_ms)
    elif type_ == "voucher.expired":
        figures.expired += 1
    elif "voucher_id" not in data:  # a refusal that names a voucher answered an expiry, not a claim
        _add_refusal(figures.claims_refused, data)
        if data["reason"] in _NOTHING:
            figures.found_nothing_ms = _earlier(figures.found_nothing_ms, time_ms)
        if data["reason"] in _SOLD_OUT:
            figures.sold_out_ms = _earlier(figures.sold_out_ms, time_ms)


def _add_refusal(refused: dict[str, int], data: dict[str, Any]) -> None:
    refused[data["reason"]] = refused.get(data["reason"], 0) + 1


def _earlier(one_ms: int | None, other_ms: int) -> int:
    return other_ms if one_ms is None else min(one_ms, other_ms)


def _tier(city_tier: int | None) -> str:
    return "none" if city_tier is None else str(city_tier)

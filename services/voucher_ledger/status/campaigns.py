"""Reads how each campaign stands from the ledger's views: what an operator asks first."""

from collections import defaultdict
from collections.abc import Iterable

import psycopg

from voucher_ledger.status.snapshot import VOUCHER, Balance, CampaignStatus, Tranche

# More would push everything else off the screen.
CAMPAIGNS_MAX = 20

# Those that run now, then the latest to end: months of campaigns to come must not hide the one that runs today.
_CAMPAIGNS = """
WITH shown AS (
    SELECT campaign_id, state, quota, face_value_minor, ends_at,
           state = 'open' AND starts_at <= now() AND now() < ends_at AS claimable,
           row_number() OVER (ORDER BY (state <> 'closed' AND starts_at <= now() AND now() < ends_at) DESC,
                                       ends_at DESC, campaign_id) AS place
    FROM ledger.campaign ORDER BY place LIMIT %(shown_max)s)
SELECT s.campaign_id, s.state, s.quota, s.face_value_minor, s.claimable,
       round(extract(epoch FROM s.ends_at) * 1000)::bigint,
       coalesce(later.quota, 0)::bigint, round(extract(epoch FROM coming.at) * 1000)::bigint, coming.quota,
       coalesce(line.waiting, 0)::bigint, round(extract(epoch FROM line.since) * 1000)::bigint,
       (SELECT count(*) FROM ledger.campaign)
FROM shown s
LEFT JOIN LATERAL (
    SELECT sum(t.quota) AS quota
    FROM ledger.tranche t WHERE t.campaign_id = s.campaign_id AND t.at > now()) later ON true
LEFT JOIN LATERAL (
    SELECT t.at, t.quota FROM ledger.tranche t WHERE t.campaign_id = s.campaign_id AND t.at > now()
    ORDER BY t.at LIMIT 1) coming ON true
LEFT JOIN LATERAL (
    SELECT sum(w.waiting) AS waiting, min(w.head_queued_at) AS since
    FROM ledger.waiting_line w WHERE w.campaign_id = s.campaign_id) line ON true
ORDER BY s.place"""


def read_campaigns(connection: psycopg.Connection, balances: Iterable[Balance]) -> tuple[list[CampaignStatus], int]:
    """At most CAMPAIGNS_MAX campaigns, and how many more there are; `balances` are of the same snapshot.

    Raises psycopg.Error.
    """
    held: defaultdict[tuple[str, str], int] = defaultdict(int)
    money: defaultdict[tuple[str, str], int] = defaultdict(int)
    for balance in balances:
        (held if balance.unit == VOUCHER else money)[balance.campaign_id, balance.role] += balance.balance
    found: list[CampaignStatus] = []
    total = 0
    for row in connection.execute(_CAMPAIGNS, {"shown_max": CAMPAIGNS_MAX}):
        name, state, quota, face_minor, opened, ends_at_ms, later, next_ms, next_quota, waiting, since_ms, total = row
        # A voucher needs its card and its money: whichever ends first ends the claims.
        cards = held[name, "pool"] + held[name, "lease"] - later
        budget_minor = money[name, "pool"] + money[name, "lease"]
        found.append(
            CampaignStatus(
                campaign_id=name,
                state=state,
                quota=quota,
                granted=sum(held[name, role] for role in ("granted", "held", "spent")),
                claimable=max(0, min(cards, budget_minor // face_minor)) if opened else 0,
                next_tranche=None if next_ms is None else Tranche(next_ms, next_quota),
                waiting=waiting,
                waiting_since_ms=since_ms,
                ends_at_ms=ends_at_ms,
            )
        )
    return found, total - len(found)

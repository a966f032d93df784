"""Campaign rules, as every room reads them."""

from collections.abc import Iterable

import psycopg

from voucher_ledger.ledger.model import Campaign, Limits

_LOAD = """
SELECT campaign_id, state::text, currency, voucher_kind, face_value_minor, percent_bp, min_spend_minor, starts_at_ms,
    ends_at_ms, per_user_limit, voucher_ttl_ms, hold_ttl_ms, categories, overspend, when_empty,
    release_at_ms, release_quota, vouchers_per_order_max, limits
FROM books.campaign WHERE campaign_id = ANY(%s)"""


def load(connection: psycopg.Connection, campaign_ids: Iterable[str]) -> dict[str, Campaign]:
    """The campaigns with these ids, those that exist, by id."""
    rows = connection.execute(_LOAD, (list(campaign_ids),))
    found: dict[str, Campaign] = {}
    for *row, release_at_ms, release_quota, vouchers_per_order_max, limits in rows:
        campaign = found[row[0]] = Campaign(*row)
        campaign.tranches = tuple(zip(release_at_ms, release_quota, strict=True))
        campaign.vouchers_per_order_max = vouchers_per_order_max
        campaign.limits = None if limits is None else Limits(**limits)
        if campaign.categories is not None:
            campaign.categories = frozenset(campaign.categories)
    return found

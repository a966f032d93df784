"""Budgets of single categories: the discounts held or spent in a category, changed by deltas like the balances."""

from collections.abc import Iterable, Mapping

import psycopg

_LEFT = """
SELECT b.campaign_id, b.category, b.budget_minor - b.committed_minor FROM books.category_budget b
JOIN unnest(%s::text[], %s::text[]) AS k (campaign_id, category) USING (campaign_id, category)"""

_IN_ORDER_LOCKED = " ORDER BY b.campaign_id, b.category FOR UPDATE OF b"

_ADD = """
UPDATE books.category_budget b SET committed_minor = b.committed_minor + d.committed_minor
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS d (campaign_id, category, committed_minor)
WHERE b.campaign_id = d.campaign_id AND b.category = d.category"""


def load_left(
    connection: psycopg.Connection, keys: Iterable[tuple[str, str]], *, lock: bool
) -> dict[tuple[str, str], int]:
    """What is left, in minor units, of the budgets of these (campaign_id, category) pairs.

    A pair without a budget of its own is not in the answer. `lock` holds the budgets to the end of the transaction.
    """
    pairs = list(keys)
    if not pairs:
        return {}
    columns = ([campaign_id for campaign_id, _ in pairs], [category for _, category in pairs])
    rows = connection.execute(_LEFT + (_IN_ORDER_LOCKED if lock else ""), columns)
    return {(campaign_id, category): left_minor for campaign_id, category, left_minor in rows}


def commit(connection: psycopg.Connection, deltas_minor: Mapping[tuple[str, str], int]) -> None:
    """Change what (campaign_id, category) pairs have committed, by these amounts (negative: given back).

    Raises psycopg.errors.CheckViolation where a budget would be exceeded, RuntimeError where one does not exist.
    """
    keys = sorted(key for key, delta_minor in deltas_minor.items() if delta_minor)
    if not keys:
        return
    columns = ([campaign_id for campaign_id, _ in keys], [category for _, category in keys])
    # The join of an UPDATE locks in an order of its own choice; two batches must take these few hot rows in the same.
    connection.execute(_LEFT + _IN_ORDER_LOCKED, columns)
    changed = connection.execute(_ADD, (*columns, [deltas_minor[key] for key in keys]))
    if changed.rowcount != len(keys):
        raise RuntimeError(f"{len(keys) - changed.rowcount} of the category budgets {keys} do not exist any more")

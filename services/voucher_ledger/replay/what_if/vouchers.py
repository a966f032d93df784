"""Who has a voucher on one side and none on the other: a merge of two sorted streams, in little memory."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import psycopg

from voucher_ledger.replay.what_if.sandbox import OVER_WHOLE_TABLES

ROWS_A_FETCH: Final = 10_000

# By user and his how-manieth voucher, not by what granted it: of two attempts of a user another may have had luck.
_HELD = "SELECT campaign_id, user_id, ordinal FROM books.voucher ORDER BY campaign_id, user_id, ordinal"


def gained_and_lost(baseline: psycopg.Connection, changed: psycopg.Connection) -> tuple[Counter[str], Counter[str]]:
    """By campaign: vouchers of users who have none (or fewer) in `baseline`, and the other way round."""
    gained: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    with baseline.transaction(), changed.transaction():
        for connection in (baseline, changed):
            connection.execute(OVER_WHOLE_TABLES, prepare=False)  # several statements
        ours, theirs = _held(baseline), _held(changed)
        one, other = next(ours, None), next(theirs, None)
        while one is not None or other is not None:
            if one == other:
                one, other = next(ours, None), next(theirs, None)
            elif one is None or (other is not None and other < one):
                assert other is not None
                gained[other[0]] += 1
                other = next(theirs, None)
            else:
                lost[one[0]] += 1
                one = next(ours, None)
    return gained, lost


def _held(connection: psycopg.Connection) -> Iterator[tuple[Any, ...]]:
    with connection.cursor(name="held") as cursor:
        cursor.itersize = ROWS_A_FETCH
        yield from cursor.execute(_HELD)

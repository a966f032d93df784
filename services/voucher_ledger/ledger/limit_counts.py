"""How many vouchers were granted by device and by channel: counted for campaigns that limit them, by deltas.

A device is used by several users and a channel by all, so these rows are shared by partitions and processes. A count
never falls, so a refusal that goes by a count which was read without a lock is right whatever others do meanwhile.
"""

from collections.abc import Iterable, Mapping

import psycopg

from voucher_ledger.ledger.copy_text import lines
from voucher_ledger.ledger.model import LIMIT_KINDS, LimitKey

_LOCK_ORDER = {kind: place for place, kind in enumerate(LIMIT_KINDS)}

_LOAD = """
SELECT c.kind::text, c.campaign_id, c.name, c.vouchers
FROM unnest(string_to_array(%s, E'\\n')::books.limit_kind[], string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n'))
  AS k (kind, campaign_id, name)
CROSS JOIN LATERAL (
    SELECT * FROM books.limit_count WHERE (kind, campaign_id, name) = (k.kind, k.campaign_id, k.name) OFFSET 0) AS c"""

# Row by row in the order given, each locked whether it was there or not: no two batches can wait for one another.
_ADD = """
INSERT INTO books.limit_count AS c (kind, campaign_id, name, vouchers, vouchers_max)
SELECT * FROM unnest(string_to_array(%s, E'\\n')::books.limit_kind[], string_to_array(%s, E'\\n'),
  string_to_array(%s, E'\\n'), %s::bigint[], %s::bigint[])
ON CONFLICT (kind, campaign_id, name) DO UPDATE SET vouchers = c.vouchers + EXCLUDED.vouchers
RETURNING c.kind::text, c.campaign_id, c.name, c.vouchers"""


def load(connection: psycopg.Connection, keys: Iterable[LimitKey]) -> dict[LimitKey, int]:
    """The vouchers granted to each of `keys`; one that was never granted any may be missing."""
    columns = tuple(lines(column) for column in zip(*keys, strict=True))
    if not columns:
        return {}
    return {(kind, campaign_id, name): count for kind, campaign_id, name, count in connection.execute(_LOAD, columns)}


def lock(connection: psycopg.Connection, most: Mapping[LimitKey, int]) -> dict[LimitKey, int]:
    """Hold the counts of these keys to the end of the transaction, also where there was no row yet, and return them.

    `most` says how many vouchers each may come to.
    """
    return add(connection, dict.fromkeys(most, 0), most)


def add(
    connection: psycopg.Connection, added: Mapping[LimitKey, int], most: Mapping[LimitKey, int]
) -> dict[LimitKey, int]:
    """Raise the counts of `added` by so many vouchers, devices before channels, and return what they come to.

    Raises psycopg.errors.CheckViolation where one would pass its `most`.
    """
    # Channels are shared by all batches: they come last, so that they are held for the shortest time.
    keys = sorted(added, key=lambda key: (_LOCK_ORDER[key[0]], key))
    if not keys:
        return {}
    names = tuple(lines(column) for column in zip(*keys, strict=True))
    counts = ([added[key] for key in keys], [most[key] for key in keys])
    rows = connection.execute(_ADD, (*names, *counts))
    return {(kind, campaign_id, name): count for kind, campaign_id, name, count in rows}

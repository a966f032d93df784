"""Vouchers, as all rooms load and write them: read without locks, written only on the version that was read.

Here and in the modules beside it, keys are looked up by `= ANY` or by a LATERAL that OFFSET 0 keeps apart: each key by
the index, whatever the planner believes. A plain join that is planned while a table is empty, and known to be (it was
vacuumed), reads the whole table for each batch from then on.
"""

from collections.abc import Collection, Iterable, Sequence

import psycopg

from voucher_ledger.ledger.copy import copy_rows
from voucher_ledger.ledger.copy_text import NULL, lines
from voucher_ledger.ledger.errors import Contended
from voucher_ledger.ledger.model import Voucher

_COLUMNS = """v.voucher_id, v.campaign_id, v.user_id, v.ordinal, v.shard, v.state::text, v.face_value_minor,
    v.granted_at_ms, v.expires_at_ms, v.command_id, v.city_tier, v.channel, v.version,
    v.device_id"""

_BY_ID = (
    f"SELECT {_COLUMNS} FROM books.voucher v "  # noqa: S608 (a constant of this file)
    "WHERE v.voucher_id = ANY (string_to_array(%s, E'\\n'))"
)

_BY_USER = (
    f"SELECT {_COLUMNS} "  # noqa: S608 (as above)
    "FROM unnest(string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n')) AS k (campaign_id, user_id) "
    "CROSS JOIN LATERAL (SELECT * FROM books.voucher o "
    "WHERE o.user_id = k.user_id AND o.campaign_id = k.campaign_id OFFSET 0) AS v"
)

# All users of a campaign with one walk along the index, where _BY_USER goes down into it for each.
_BY_USER_OF_ONE = (
    f"SELECT {_COLUMNS} FROM books.voucher v "  # noqa: S608 (as above)
    "WHERE v.user_id = ANY (string_to_array(%s, E'\\n')) AND v.campaign_id = %s"
)

_HOLD = """
SELECT FROM books.voucher WHERE voucher_id = ANY (string_to_array(%s, E'\\n'))
ORDER BY voucher_id FOR NO KEY UPDATE"""

_IN_ORDER_LOCKED = " ORDER BY v.voucher_id FOR UPDATE OF v"

_COPY = """
COPY books.voucher (user_id, campaign_id, ordinal, voucher_id, shard, state, face_value_minor, granted_at_ms,
    expires_at_ms, command_id, city_tier, channel, device_id)"""

_UPDATE = """
UPDATE books.voucher v SET state = d.state, face_value_minor = d.face_value_minor, version = v.version + 1,
    swept = v.swept AND d.state <> 'granted'  -- what comes back to its owner is swept again when due
FROM unnest(string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n')::books.voucher_state[], %s::bigint[], %s::int[])
  AS d (voucher_id, state, face_value_minor, version)
CROSS JOIN LATERAL (
    SELECT ctid, version FROM books.voucher WHERE voucher_id = d.voucher_id AND version = d.version OFFSET 0) AS place
WHERE v.ctid = place.ctid AND v.version = place.version"""


def load_by_id(connection: psycopg.Connection, voucher_ids: Iterable[str], *, lock: bool) -> list[Voucher]:
    """The vouchers with these ids, those that exist; `lock` holds them to the end of the transaction, in id order."""
    rows = connection.execute(_BY_ID + (_IN_ORDER_LOCKED if lock else ""), (lines(voucher_ids),))
    return [Voucher(*row) for row in rows]


def hold(connection: psycopg.Connection, voucher_ids: Iterable[str]) -> None:
    """Hold the vouchers with these ids to the end of the transaction, in id order."""
    connection.execute(_HOLD, (lines(voucher_ids),))


def load_by_user(connection: psycopg.Connection, keys: Collection[tuple[str, str]]) -> list[Voucher]:
    """All vouchers of these (campaign_id, user_id) pairs."""
    if not keys:
        return []
    campaign_ids, user_ids = zip(*keys, strict=True)
    # Of several campaigns, two lists would be all pairs of them: users who have many vouchers would bring them all.
    if campaign_ids.count(campaign_ids[0]) == len(campaign_ids):
        rows = connection.execute(_BY_USER_OF_ONE, (lines(user_ids), campaign_ids[0]))
    else:
        rows = connection.execute(_BY_USER, (lines(campaign_ids), lines(user_ids)))
    return [Voucher(*row) for row in rows]


def insert(connection: psycopg.Connection, vouchers: Sequence[Voucher]) -> None:
    """Append new vouchers, in order of their users.

    Raises psycopg.errors.UniqueViolation where the user's ordinal was taken meanwhile by another partition.
    """
    if vouchers:
        copy_rows(connection, _COPY, sorted(rows_of(vouchers)))


def rows_of(vouchers: Sequence[Voucher]) -> list[str]:
    """New vouchers as COPY takes them. A row begins with its unique key, so that rows are sorted by it as they are."""
    return [
        f"{v.user_id}\t{v.campaign_id}\t{v.ordinal}\t{v.voucher_id}\t{v.shard}\t{v.state}"
        f"\t{v.face_value_minor}\t{v.granted_at_ms}\t{v.expires_at_ms}\t{v.command_id}"
        f"\t{v.city_tier or NULL}\t{v.channel or NULL}\t{v.device_id or NULL}\n"
        for v in vouchers
    ]


def update(connection: psycopg.Connection, vouchers: Sequence[Voucher]) -> None:
    """Write the state and value of vouchers that were loaded and changed.

    Raises Contended where another transaction changed one of them since it was loaded.
    """
    if not vouchers:
        return
    ordered = sorted(vouchers, key=lambda voucher: voucher.voucher_id)
    changed = connection.execute(
        _UPDATE,
        (
            lines([voucher.voucher_id for voucher in ordered]),
            lines([voucher.state for voucher in ordered]),
            [voucher.face_value_minor for voucher in ordered],
            [voucher.version for voucher in ordered],
        ),
    )
    if changed.rowcount != len(ordered):
        raise Contended(f"{len(ordered) - changed.rowcount} of {len(ordered)} vouchers changed meanwhile")

"""The waiting room's tables: lines and the places in them."""

from collections.abc import Collection, Iterable, Sequence

import psycopg

from voucher_ledger.ledger.copy import copy_rows
from voucher_ledger.ledger.copy_text import NULL, lines
from voucher_ledger.ledger.model import Line, WaitingPlace

_LINES = """
SELECT campaign_id, partition, head, next_ticket, admitted FROM books.waiting_line WHERE campaign_id = ANY(%s)"""

_PLACES = """
SELECT p.campaign_id, p.partition, p.ticket, p.user_id, p.ordinal, p.command_id, p.city_tier, p.channel, p.queued_at_ms,
    p.device_id
FROM unnest(string_to_array(%s, E'\\n'), string_to_array(%s, E'\\n')) AS k (campaign_id, user_id)
CROSS JOIN LATERAL (
    SELECT * FROM books.waiting_place o WHERE o.user_id = k.user_id AND o.campaign_id = k.campaign_id OFFSET 0) AS p"""

_COPY = """
COPY books.waiting_place (campaign_id, partition, ticket, user_id, ordinal, command_id, city_tier, channel,
    queued_at_ms, device_id)"""

# The line belongs to whoever decides its partition, under the fence of the partition's position: no delta is needed.
_WRITE = """
INSERT INTO books.waiting_line (campaign_id, partition, head, next_ticket, admitted)
SELECT * FROM unnest(%s::text[], %s::int[], %s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT (campaign_id, partition) DO UPDATE
SET head = excluded.head, next_ticket = excluded.next_ticket, admitted = excluded.admitted"""


def load_lines(connection: psycopg.Connection, campaign_ids: Collection[str]) -> list[Line]:
    """All lines of these campaigns, the empty ones too."""
    return [Line(*row) for row in connection.execute(_LINES, (list(campaign_ids),))]


def load_places(connection: psycopg.Connection, keys: Collection[tuple[str, str]]) -> list[WaitingPlace]:
    """All places that these (campaign_id, user_id) have and ever had."""
    campaign_ids, user_ids = zip(*keys, strict=True)
    return [WaitingPlace(*row) for row in connection.execute(_PLACES, (lines(campaign_ids), lines(user_ids)))]


def insert(connection: psycopg.Connection, places: Sequence[WaitingPlace]) -> None:
    """Append new places, in order of their users as vouchers are.

    Raises psycopg.errors.UniqueViolation where the user began to wait meanwhile through another partition.
    """
    ordered = sorted(places, key=lambda place: (place.user_id, place.campaign_id, place.ordinal))
    copy_rows(
        connection,
        _COPY,
        [
            f"{p.campaign_id}\t{p.partition}\t{p.ticket}\t{p.user_id}\t{p.ordinal}\t{p.command_id}"
            f"\t{p.city_tier or NULL}\t{p.channel or NULL}\t{p.queued_at_ms}\t{p.device_id or NULL}\n"
            for p in ordered
        ],
    )


def write_lines(connection: psycopg.Connection, changed: Iterable[Line]) -> None:
    """Write where these lines stand now."""
    ordered = sorted(changed, key=lambda line: (line.campaign_id, line.partition))
    rows = [(line.campaign_id, line.partition, line.head, line.next_ticket, line.admitted) for line in ordered]
    if rows:
        connection.execute(_WRITE, [list(column) for column in zip(*rows, strict=True)])

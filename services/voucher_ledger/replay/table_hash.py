"""A hash of each table whose content events define: two ledgers of the same events have the same, row order aside.

Left out of a row is what no event tells: through which shard's accounts a voucher went, which of its user's it is (his
claims may have come by several partitions), how often a row was written or swept, who decided; of the transfers, how
leases were drawn; and of the balances, how pool, leases and loss share what was not granted. Left out altogether are
the outbox, the leases' draw numbers, and counts that were locked and stayed zero.
"""

from collections.abc import Mapping

import psycopg

HASHED: dict[str, str] = {
    "campaign": "SELECT to_jsonb(t) AS row FROM books.campaign t",
    "campaign_command": "SELECT to_jsonb(t) AS row FROM books.campaign_command t",
    "category_budget": "SELECT to_jsonb(t) AS row FROM books.category_budget t",
    "voucher": "SELECT to_jsonb(t) - '{shard,version,swept,ordinal}'::text[] AS row FROM books.voucher t",
    "reservation": "SELECT to_jsonb(t) - '{version,swept}'::text[] AS row FROM books.reservation t",
    "payment": "SELECT to_jsonb(t) - '{version}'::text[] AS row FROM books.payment t",
    "refund": "SELECT to_jsonb(t) AS row FROM books.refund t",
    "limit_count": "SELECT to_jsonb(t) AS row FROM books.limit_count t WHERE vouchers > 0",
    "waiting_line": "SELECT to_jsonb(t) AS row FROM books.waiting_line t",
    "waiting_place": "SELECT to_jsonb(t) - '{ordinal}'::text[] AS row FROM books.waiting_place t",
    "account": """
        SELECT jsonb_build_array(campaign_id, told, sum(vouchers), sum(amount_minor)) AS row
        FROM books.account, lateral (SELECT CASE WHEN role IN ('pool', 'lease', 'loss') THEN 'rest' ELSE role::text END)
          AS t (told)
        GROUP BY campaign_id, told HAVING sum(vouchers) <> 0 OR sum(amount_minor) <> 0""",
    "transfer": """
        SELECT to_jsonb(t) - '{debit_shard,credit_shard,debit_role}'::text[]
            || jsonb_build_object('debit_role', replace(debit_role::text, 'loss', 'lease')) AS row
        FROM books.transfer t WHERE credit_role <> 'lease'""",
    "position": """
        SELECT to_jsonb(t) - '{epoch,instance,record_time_ms}'::text[] AS row FROM books.position t
        WHERE decided + dead_lettered > 0""",
}


def table_hashes(connection: psycopg.Connection, queries: Mapping[str, str] = HASHED) -> dict[str, str]:
    """`rows:hash` of each table of HASHED. Raises psycopg.Error."""
    found: dict[str, str] = {}
    for name, query in queries.items():
        # The sum of the rows' hashes, so that their order does not matter; the queries are constants of this file.
        summed = f"SELECT count(*), coalesce(sum(hashtextextended(row::text, 0)::numeric), 0) FROM ({query}) AS hashed"  # noqa: S608
        rows, total = connection.execute(summed.encode()).fetchone() or (0, 0)
        found[name] = f"{rows}:{int(total) % 2**64:016x}"
    return found

"""Leases: blocks of quota and budget that a claims process draws from the pool and grants from by itself.

Draws are a short transaction of their own, one a batch, and transfers like any other. Refusing as sold out needs a
proof: one statement that sees the pool and all leases together below one voucher, or a draw that took all there was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import psycopg

from voucher_ledger.core.records import Command
from voucher_ledger.ledger import accounts
from voucher_ledger.ledger.model import Campaign, Role, RoleName

BLOCK_VOUCHERS_MAX = 50_000

_BALANCES = """
SELECT a.campaign_id, a.shard, a.vouchers, a.amount_minor, p.vouchers FROM books.account a
JOIN unnest(%s::text[], %s::int[]) AS k (campaign_id, shard) USING (campaign_id, shard)
JOIN books.account p ON p.campaign_id = a.campaign_id AND p.role = 'pool' AND p.shard = 0
WHERE a.role = 'lease'"""

_LOSSES = """
SELECT a.campaign_id, -a.amount_minor FROM books.account a
JOIN unnest(%s::text[], %s::int[]) AS k (campaign_id, shard) USING (campaign_id, shard) WHERE a.role = 'loss'"""

_TOTAL = """
SELECT coalesce(sum(vouchers), 0), coalesce(sum(amount_minor), 0) FROM books.account
WHERE campaign_id = %s AND role IN ('pool', 'lease')"""

_LOCK_POOL = "SELECT vouchers, amount_minor FROM books.account WHERE campaign_id = %s AND role = 'pool' FOR UPDATE"

_LOCK_ALL = """
SELECT role::text, shard, vouchers, amount_minor FROM books.account
WHERE campaign_id = %s AND role IN ('pool', 'lease') ORDER BY campaign_id, role, shard FOR UPDATE"""

# Takes from one account, adds to the lease and books it, by the lease's next draw number: one statement, since a batch
# of many small campaigns draws on as many leases. Whoever calls holds the row that is taken from.
_MOVE = """
WITH taken AS (
    UPDATE books.account SET vouchers = vouchers - %(vouchers)s, amount_minor = amount_minor - %(amount_minor)s
    WHERE campaign_id = %(campaign_id)s AND role = %(role)s::books.account_role AND shard = %(shard)s
    RETURNING shard),
added AS (
    UPDATE books.account
    SET vouchers = vouchers + %(vouchers)s, amount_minor = amount_minor + %(amount_minor)s, draws = draws + 1
    WHERE campaign_id = %(campaign_id)s AND role = 'lease' AND shard = %(lease_shard)s
    RETURNING draws)
INSERT INTO books.transfer (campaign_id, debit_role, debit_shard, credit_role, credit_shard, vouchers, amount_minor,
    cause_topic, cause_partition, cause_offset, cause_index, at_ms)
SELECT %(campaign_id)s, %(role)s, taken.shard, 'lease', %(lease_shard)s, %(vouchers)s, %(amount_minor)s,
    'claim.commands', %(lease_shard)s, %(offset)s, -added.draws, %(at_ms)s
FROM taken, added"""


@dataclass(frozen=True, slots=True)
class Need:
    """What the claims of one batch want of one campaign; `cause` is one of them, and they go through its lease.

    `returns` tells that the batch may return some to the pool, and may then grant that again. `held_back` of the pool's
    vouchers are not released yet.
    """

    campaign: Campaign
    vouchers: int
    cause: Command
    returns: bool = False
    held_back: int = 0

    @property
    def shard(self) -> int:
        """Each partition has a lease of its own."""
        return self.cause.partition


class Drawn(NamedTuple):
    """What a draw came to; the balance is the lease's where the draw held it locked, else zero.

    `enough`: the lease holds what was wanted. `everything`: less, but all there is, until another draw takes of it.
    The others: pool and leases together can't pay for one voucher more, for this reason, and nothing was moved.
    """

    outcome: Literal["enough", "everything", "sold_out", "budget_exhausted"]
    vouchers: int = 0
    amount_minor: int = 0


def usable(vouchers: int, pool_vouchers: int, held_back: int) -> int:
    """What of a lease's `vouchers` is released while the pool must hold `held_back` back.

    A partition may lag behind one that already drew on the next tranche: the pool then holds too little, and that much
    is missing from every lease, whoever drew it. So no two leases together can give out more than was released.
    """
    return min(vouchers, max(0, pool_vouchers + vouchers - held_back))


def balances(
    connection: psycopg.Connection, held_back: dict[tuple[str, int], int]
) -> dict[tuple[str, int], tuple[int, int]]:
    """(usable vouchers, amount_minor) of the leases of these (campaign_id, shard) pairs, each with what its campaign
    holds back; a lease never drawn is (0, 0).
    """
    found = dict.fromkeys(held_back, (0, 0))
    columns = ([campaign_id for campaign_id, _ in held_back], [shard for _, shard in held_back])
    for campaign_id, shard, vouchers, amount_minor, pool_vouchers in connection.execute(_BALANCES, columns):
        found[campaign_id, shard] = (usable(vouchers, pool_vouchers, held_back[campaign_id, shard]), amount_minor)
    return found


def losses(connection: psycopg.Connection, keys: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """(campaign_id, amount_minor) of what was honoured past the end through these (campaign_id, shard)."""
    columns = ([campaign_id for campaign_id, _ in keys], [shard for _, shard in keys])
    return connection.execute(_LOSSES, columns).fetchall()


def draw(connection: psycopg.Connection, need: Need, shards: int) -> Drawn:
    """Add a block to the lease that covers all that `need` wants, or else bring it up to that, or to all there is.

    The block shrinks with the pool (a share of half of it for each of `shards` partitions), so that little is stranded
    in leases; once the pool can't give what is wanted, the other leases are asked. The caller's transaction, which
    should be short, holds what it locks.
    """
    face_minor = need.campaign.face_value_minor
    vouchers, amount_minor = connection.execute(_TOTAL, (need.campaign.campaign_id,)).fetchone() or (0, 0)
    vouchers -= need.held_back
    # Rests too small for one voucher stay where they are, since sold-out claims must not take locks; but with what
    # the batch returns they may make one.
    if not need.returns and (vouchers < 1 or amount_minor < face_minor):
        if need.campaign.overspend == "honour":
            _ensure_accounts(connection, need)  # what is granted all the same goes through them
        return Drawn("sold_out" if vouchers < 1 else "budget_exhausted")
    _ensure_accounts(connection, need)
    pool = connection.execute(_LOCK_POOL, (need.campaign.campaign_id,)).fetchone()
    if pool is None:
        raise RuntimeError(f"the pool of campaign {need.campaign.campaign_id} does not exist")
    affordable = min(pool[0] - need.held_back, pool[1] // face_minor)
    if affordable >= need.vouchers:
        share = min(affordable // (2 * shards), BLOCK_VOUCHERS_MAX)
        block = max(need.vouchers, share)
        _move(connection, need, [(Role.POOL, 0, block, block * face_minor)])
        return Drawn("enough")
    return _gather(connection, need)


def _ensure_accounts(connection: psycopg.Connection, need: Need) -> None:
    """The accounts of the shard that grants go through. `loss` has a shard of its own for each lease: as one row a
    campaign it would be hot, and locked by every batch of every process once the pool is empty.
    """
    roles = [Role.LEASE, Role.GRANTED, Role.HELD, Role.SPENT]
    if need.campaign.overspend == "honour":
        roles.append(Role.LOSS)
    accounts.ensure(connection, [(need.campaign.campaign_id, role, need.shard) for role in roles])


def _gather(connection: psycopg.Connection, need: Need) -> Drawn:
    """Take what is wanted from the pool and then from the other leases."""
    face_minor = need.campaign.face_value_minor
    rows = connection.execute(_LOCK_ALL, (need.campaign.campaign_id,)).fetchall()
    own = next((row for row in rows if row[0] == Role.LEASE and row[1] == need.shard), ("", 0, 0, 0))
    pool_vouchers = sum(row[2] for row in rows if row[0] == Role.POOL)
    # What another partition drew of later tranches is missing here: see `usable`.
    missing_vouchers = max(0, need.vouchers + max(0, need.held_back - pool_vouchers) - own[2])
    missing_minor = max(0, need.vouchers * face_minor - own[3])
    moves: list[tuple[RoleName, int, int, int]] = []
    for role, shard, vouchers, amount_minor in rows:
        if role == Role.LEASE and shard == need.shard:
            continue
        released = max(0, vouchers - need.held_back) if role == Role.POOL else vouchers
        taken = (min(released, missing_vouchers), min(amount_minor, missing_minor))
        if taken != (0, 0):
            missing_vouchers -= taken[0]
            missing_minor -= taken[1]
            moves.append((role, shard, *taken))
    _move(connection, need, moves)
    outcome: Literal["everything", "enough"] = "everything" if missing_vouchers > 0 or missing_minor > 0 else "enough"
    pool_vouchers -= sum(move[2] for move in moves if move[0] == Role.POOL)
    gathered = own[2] + sum(move[2] for move in moves)
    return Drawn(outcome, usable(gathered, pool_vouchers, need.held_back), own[3] + sum(move[3] for move in moves))


def _move(connection: psycopg.Connection, need: Need, moves: list[tuple[RoleName, int, int, int]]) -> None:
    for role, shard, vouchers, amount_minor in moves:
        values = {
            "campaign_id": need.campaign.campaign_id, "role": role, "shard": shard, "lease_shard": need.shard,
            "vouchers": vouchers, "amount_minor": amount_minor,
            "offset": need.cause.offset, "at_ms": need.cause.time_ms,
        }  # fmt: skip
        if connection.execute(_MOVE, values).rowcount != 1:
            raise RuntimeError(f"campaign {need.campaign.campaign_id} lacks {role} {shard} or lease {need.shard}")

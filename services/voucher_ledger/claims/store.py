"""The claims room's part of the books."""

from collections.abc import Sequence

import psycopg

from voucher_ledger.claims.decide import decide
from voucher_ledger.claims.evolve import evolve
from voucher_ledger.claims.state import Claims, Lease
from voucher_ledger.core.records import Command
from voucher_ledger.ledger import accounts, campaigns, leases, vouchers
from voucher_ledger.ledger.journal import Journal
from voucher_ledger.ledger.model import Campaign, Role


def _grantable(campaign: Campaign, shard: int, commands: Sequence[Command]) -> int:
    """How many claims of this partition the campaign's state and hours let through to its lease."""
    if campaign.state != "open":
        return 0
    return sum(
        command.type == "voucher.claim"
        and command.partition == shard
        and command.data["campaign_id"] == campaign.campaign_id
        and campaign.starts_at_ms <= command.time_ms < campaign.ends_at_ms
        for command in commands
    )


class ClaimsRoom:
    """Claims and voucher expiries; `shards` is the number of partitions that share a campaign's pool."""

    name = "claims"
    command_topic = "claim.commands"
    event_topic = "claim.events"
    key_field = "user_id"
    decide = staticmethod(decide)
    evolve = staticmethod(evolve)

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def prepare(self, connection: psycopg.Connection, commands: Sequence[Command]) -> Claims:
        """The campaigns of a batch, and leases large enough for its claims (drawn where they were not)."""
        state = Claims(Journal(self.command_topic))
        wanted: dict[tuple[str, int], int] = {}
        first: dict[tuple[str, int], Command] = {}
        for command in commands:
            if command.type == "voucher.claim":
                key = (command.data["campaign_id"], command.partition)
                wanted[key] = wanted.get(key, 0) + 1
                first.setdefault(key, command)
        if not wanted:
            return state
        state.campaigns = campaigns.load(connection, {campaign_id for campaign_id, _ in wanted})
        keys = sorted(key for key in wanted if key[0] in state.campaigns)
        for key, (have_vouchers, have_minor) in leases.balances(connection, keys).items():
            campaign = state.campaigns[key[0]]
            lease = state.leases[key] = Lease(have_vouchers, have_minor)
            if have_vouchers < wanted[key] or have_minor < wanted[key] * campaign.face_value_minor:
                count = _grantable(campaign, key[1], commands)
                if count:
                    need = leases.Need(campaign, key[1], count, first[key], self.command_topic)
                    lease.everything = leases.draw(connection, need, self._shards)
        return state

    def load(self, connection: psycopg.Connection, state: Claims, commands: Sequence[Command], *, lock: bool) -> None:
        """The vouchers of the batch's users, and the leases as they are now."""
        if state.leases:
            if lock:
                accounts.lock(connection, [(campaign_id, Role.LEASE, shard) for campaign_id, shard in state.leases])
            for key, (have_vouchers, have_minor) in leases.balances(connection, list(state.leases)).items():
                state.leases[key].vouchers = have_vouchers
                state.leases[key].amount_minor = have_minor
        owners = {(c.data["campaign_id"], c.data["user_id"]) for c in commands}
        for voucher in vouchers.load_by_user(connection, owners, lock=lock):
            state.by_user.setdefault((voucher.campaign_id, voucher.user_id), []).append(voucher)
            state.by_id[voucher.voucher_id] = voucher
        missing = {
            command.data["voucher_id"]
            for command in commands
            if command.type == "voucher.expire" and command.data["voucher_id"] not in state.by_id
        }
        if missing:
            for voucher in vouchers.load_by_id(connection, missing, lock=lock):
                state.by_id[voucher.voucher_id] = voucher

    def write(self, connection: psycopg.Connection, state: Claims) -> None:
        """New vouchers, changed vouchers, and last the journal with the accounts."""
        vouchers.insert(connection, state.granted)
        vouchers.update(connection, list(state.changed.values()))
        accounts.write_journal(connection, state.journal)

"""The claims room's part of the books."""

from collections.abc import Iterable, Sequence

import psycopg

from voucher_ledger.claims import limits, ordinals
from voucher_ledger.claims.decide import decide
from voucher_ledger.claims.evolve import evolve
from voucher_ledger.claims.state import Claims, Lease, Queue, Survey
from voucher_ledger.claims.survey import grantable, of_campaigns, survey
from voucher_ledger.core.records import Command
from voucher_ledger.ledger import accounts, campaigns, leases, limit_counts, vouchers, waiting
from voucher_ledger.ledger.errors import Straddles
from voucher_ledger.ledger.journal import AccountKey, Journal
from voucher_ledger.ledger.model import LimitKey, Line, Role
from voucher_ledger.ledger.release import split_at_tranche, unreleased


def _apply_draw(lease: Lease, drawn: leases.Drawn) -> None:
    if drawn.outcome == "everything":
        lease.everything = True
        lease.vouchers, lease.amount_minor = drawn.vouchers, drawn.amount_minor
    elif drawn.outcome != "enough":
        lease.everything = True
        lease.refusal = drawn.outcome


def _lock_vouchers(connection: psycopg.Connection, asked: Survey) -> None:
    due = {command.data["voucher_id"] for command in asked.expiries}
    due.update(voucher.voucher_id for voucher in vouchers.load_by_user(connection, asked.owners))
    vouchers.load_by_id(connection, due, lock=True)


def _open_queues(connection: psycopg.Connection, state: Claims) -> None:
    """The waiting rooms as they are before the batch: its own lines change by this process only."""
    queueing = [campaign_id for campaign_id, campaign in state.campaigns.items() if campaign.when_empty == "queue"]
    if not queueing:
        return
    state.queues = {campaign_id: Queue() for campaign_id in queueing}
    for line in waiting.load_lines(connection, queueing):
        queue = state.queues[line.campaign_id]
        queue.lines[line.partition] = line
        queue.waiting += line.next_ticket - line.head


def _find_places(connection: psycopg.Connection, state: Claims, owners: Iterable[tuple[str, str]]) -> None:
    keys = [owner for owner in owners if owner[0] in state.queues]
    if not keys:
        return
    for place in waiting.load_places(connection, keys):
        queue = state.queues[place.campaign_id]
        # Another partition's line may have come to be since the lines were read.
        behind_it = Line(place.campaign_id, place.partition, 0, place.ticket + 1)
        line = queue.lines.setdefault(place.partition, behind_it)
        queue.places_had[place.user_id] = max(place.ordinal, queue.places_had.get(place.user_id, 0))
        if place.ticket >= line.head:
            queue.places[place.user_id] = place


def _lock_leases(connection: psycopg.Connection, state: Claims) -> None:
    """The leases, and before them the pools that the batch returns to: who gathers from leases holds the pool."""
    keys: set[AccountKey] = {(campaign_id, Role.LEASE, lease.shard) for campaign_id, lease in state.leases.items()}
    keys.update((campaign_id, Role.POOL, 0) for campaign_id in state.asked.expiring() & state.leases.keys())
    accounts.lock(connection, keys)


def _read_losses(connection: psycopg.Connection, state: Claims) -> None:
    """What was honoured so far, where this batch may honour more: past the end only, so that no other pays for it.

    Only batches with commands of the lease's own partition book loss through it, and their position keeps them apart.
    """
    ended = [
        (campaign_id, lease.shard)
        for campaign_id, lease in state.leases.items()
        if lease.everything and state.campaigns[campaign_id].overspend == "honour"
    ]
    if ended:
        for campaign_id, lost_minor in leases.losses(connection, ended):
            state.leases[campaign_id].lost_minor = lost_minor


def _limited(state: Claims, commands: Sequence[Command]) -> dict[LimitKey, int]:
    """The devices and channels of a batch that their campaigns limit, each with the most it may be granted: of claims
    those that they name, of admissions those of the claims by which their users wait.
    """
    limited = {name: campaign for name, campaign in state.campaigns.items() if campaign.limits is not None}
    found: dict[LimitKey, int] = {}
    if not limited:
        return found
    for command in commands:
        data = command.data
        campaign = limited.get(data["campaign_id"])
        if campaign is None or command.type == "voucher.expire":
            continue
        device_id, channel = data.get("device_id"), data.get("channel")
        if command.type == "voucher.admit":
            queue = state.queues.get(campaign.campaign_id)
            place = None if queue is None else queue.places.get(data["user_id"])
            if place is None:
                continue
            device_id, channel = place.device_id, place.channel
        for key in limits.counted(campaign, device_id, channel):
            found[key] = limits.most(campaign, key)
    return found


def _lock_counts(connection: psycopg.Connection, state: Claims, commands: Sequence[Command]) -> None:
    """Hold what bounds the claims of a batch before it draws anything, for accounts are the last that it locks."""
    if all(campaign.limits is None for campaign in state.campaigns.values()):
        return
    _find_places(connection, state, state.asked.owners)
    state.limit_counts = limit_counts.lock(connection, _limited(state, commands))


def _part_at_tranches(state: Claims, commands: Sequence[Command]) -> None:
    paced = [campaign_id for campaign_id, campaign in state.campaigns.items() if campaign.tranches]
    for campaign_id, own in of_campaigns(commands, paced).items():
        place = split_at_tranche(state.campaigns[campaign_id], [command.time_ms for command in own])
        if place is not None:
            raise Straddles(own[place])


class ClaimsRoom:
    """Claims, admissions and voucher expiries; `shards` is the number of partitions that share a campaign's pool."""

    name = "claims"
    command_topic = "claim.commands"
    event_topic = "claim.events"
    key_field = "user_id"
    decide = staticmethod(decide)
    evolve = staticmethod(evolve)

    def __init__(self, shards: int) -> None:
        self._shards = shards

    def prepare(self, connection: psycopg.Connection, commands: Sequence[Command], *, lock: bool) -> Claims:
        """The campaigns of a batch, and a lease on each that is large enough for its claims (drawn where it was not).

        All of a batch goes through one lease a campaign, that of its lowest partition: a batch is decided by one
        process, so a lease for each of its partitions would only strand vouchers in them. Raises Straddles where a
        tranche is released in the midst of a campaign's claims: each part then knows what it may draw on.
        """
        asked = survey(commands)
        if lock:
            # A statement that waits for a row does not see the rows that came to be meanwhile, such as the user's next
            # voucher by another partition: the locks are taken first, and `load` reads what they hold.
            _lock_vouchers(connection, asked)
        state = Claims(Journal(self.command_topic), asked=asked)
        if not asked.wanted:
            return state
        state.campaigns = campaigns.load(connection, asked.wanted)
        _open_queues(connection, state)
        if lock:
            _lock_counts(connection, state, commands)
        _part_at_tranches(state, commands)
        for campaign_id, campaign in state.campaigns.items():
            # A draw's cause is a claim of the lease's own partition, so that no other draw can have the same id.
            lead = asked.leads[campaign_id]
            state.leases[campaign_id] = Lease(lead.partition, 0, 0, held_back=unreleased(campaign, lead.time_ms))
        self._read_leases(connection, state)
        self._draw(connection, state, self._needs(state, commands))
        return state

    def _needs(self, state: Claims, commands: Sequence[Command]) -> list[leases.Need]:
        """What the batch wants of the campaigns whose leases are too small for it, in order of their ids."""
        short = [
            campaign_id for campaign_id, campaign in sorted(state.campaigns.items())
            if not state.leases[campaign_id].covers(state.asked.wanted[campaign_id], campaign.face_value_minor)
        ]  # fmt: skip
        needs: list[leases.Need] = []
        expiring = state.asked.expiring()
        for campaign_id, own in of_campaigns(commands, short).items():
            campaign, lease = state.campaigns[campaign_id], state.leases[campaign_id]
            count = grantable(campaign, state.queues.get(campaign_id), own)
            if count:
                returns, lead = campaign_id in expiring, state.asked.leads[campaign_id]
                needs.append(leases.Need(campaign, count, lead, returns, lease.held_back))
        return needs

    def _draw(self, connection: psycopg.Connection, state: Claims, needs: Sequence[leases.Need]) -> None:
        """Draw on the leases in order of their campaigns, so that those who draw never wait in a circle."""
        if not needs:
            return
        # One COMMIT for all of them: in a batch of many small campaigns one for each took longer than all else.
        with connection.transaction():
            for need in needs:
                drawn = leases.draw(connection, need, self._shards)
                _apply_draw(state.leases[need.campaign.campaign_id], drawn)

    def _read_leases(self, connection: psycopg.Connection, state: Claims) -> None:
        held_back = {(campaign_id, lease.shard): lease.held_back for campaign_id, lease in state.leases.items()}
        for (campaign_id, _), balance in leases.balances(connection, held_back).items():
            state.leases[campaign_id].vouchers, state.leases[campaign_id].amount_minor = balance

    def _read_leases_again(self, connection: psycopg.Connection, state: Claims) -> None:
        """What another process took since the draw may be more than it grants: then nobody has seen the end of it."""
        drawn = {
            campaign_id: (lease.vouchers, lease.amount_minor)
            for campaign_id, lease in state.leases.items()
            if lease.everything and lease.refusal is None
        }
        self._read_leases(connection, state)
        for campaign_id, (held_vouchers, held_minor) in drawn.items():
            lease = state.leases[campaign_id]
            lease.everything = lease.vouchers >= held_vouchers and lease.amount_minor >= held_minor

    def load(self, connection: psycopg.Connection, state: Claims, commands: Sequence[Command], *, lock: bool) -> None:
        """The vouchers of the batch's users, their places in a waiting room, what their claims are counted for, and
        the leases as they are now.
        """
        if state.leases:
            if lock:
                _lock_leases(connection, state)
            self._read_leases_again(connection, state)
            _read_losses(connection, state)
        owners = state.asked.owners
        for voucher in vouchers.load_by_user(connection, owners):
            state.by_user.setdefault((voucher.campaign_id, voucher.user_id), []).append(voucher)
            state.by_id[voucher.voucher_id] = voucher
        _find_places(connection, state, owners)
        if not lock:  # else `prepare` holds them
            state.limit_counts = limit_counts.load(connection, _limited(state, commands))
        missing = {command.data["voucher_id"] for command in state.asked.expiries} - state.by_id.keys()
        if missing:
            for voucher in vouchers.load_by_id(connection, missing, lock=False):
                state.by_id[voucher.voucher_id] = voucher

    def write(self, connection: psycopg.Connection, state: Claims) -> None:
        """New vouchers, changed vouchers, the lines, transfers, and last what others wait for: counts, accounts."""
        ordinals.hold_firsts(connection, state)
        vouchers.insert(connection, state.granted)
        vouchers.update(connection, list(state.changed.values()))
        if state.queues:
            waiting.insert(connection, state.queued)
            queues = state.queues.values()
            waiting.write_lines(connection, [line for queue in queues for line in queue.lines.values() if line.changed])
        accounts.append_transfers(connection, state.journal)
        most = {key: limits.most(state.campaigns[key[1]], key) for key in state.limit_added}
        limit_counts.add(connection, state.limit_added, most)
        accounts.move_balances(connection, state.journal)

"""How an accepted claim, admission or expiry changes the working set: vouchers, lines, leases, the journal. No IO."""

from voucher_ledger.claims import limits
from voucher_ledger.claims.state import Claims, Lease
from voucher_ledger.core.records import Command, Event
from voucher_ledger.ledger.model import Line, Role, Voucher, WaitingPlace

# Refusals of an admission after which nobody waits any more: the others (`conflict`) say that nobody did.
ENDS_WAITING = frozenset(["ended", "user_limit"])


def evolve(state: Claims, command: Command, event: Event) -> None:
    """Apply `event`, the outcome of `command`; refusals and duplicates change nothing, but for a refusal that ends a
    user's waiting.
    """
    if "duplicate" in event.data:
        return
    if event.type == "voucher.granted":
        _grant(state, command, event)
        if command.type == "voucher.admit":
            _leave(state, command, admitted=True)
    elif event.type == "voucher.queued":
        _join(state, command)
    elif event.type == "voucher.expired":
        _expire(state, command)
    elif command.type == "voucher.admit" and event.data["reason"] in ENDS_WAITING:
        _leave(state, command, admitted=False)


def _grant(state: Claims, command: Command, event: Event) -> None:
    answer = event.data
    campaign_id = answer["campaign_id"]
    campaign = state.campaigns[campaign_id]
    owner = (campaign_id, answer["user_id"])
    earlier = state.by_user.get(owner)
    voucher = Voucher(
        answer["voucher_id"],
        campaign_id,
        owner[1],
        1 if earlier is None else len(earlier) + 1,
        state.leases[campaign_id].shard,
        "granted",
        campaign.face_value_minor,
        command.time_ms,
        command.time_ms + campaign.voucher_ttl_ms,
        answer["command_id"],
        answer.get("city_tier"),
        answer.get("channel"),
        device_id=answer.get("device_id"),
    )
    if earlier is None:
        state.by_user[owner] = [voucher]
    else:
        earlier.append(voucher)
    state.by_id[voucher.voucher_id] = voucher
    state.granted.append(voucher)
    if campaign.limits is not None:
        limits.count(state, campaign, voucher.device_id, voucher.channel)
    _pay(state, command, campaign_id, voucher)


def _join(state: Claims, command: Command) -> None:
    data = command.data
    campaign_id, user_id = data["campaign_id"], data["user_id"]
    queue = state.queues[campaign_id]
    line = queue.lines.get(command.partition)
    if line is None:
        line = queue.lines[command.partition] = Line(campaign_id, command.partition)
    ordinal = queue.places_had[user_id] = queue.places_had.get(user_id, 0) + 1
    place = WaitingPlace(
        campaign_id,
        command.partition,
        line.next_ticket,
        user_id,
        ordinal,
        command.id,
        data.get("city_tier"),
        data.get("channel"),
        command.time_ms,
        data.get("device_id"),
    )
    line.next_ticket += 1
    line.changed = True
    queue.waiting += 1
    queue.places[user_id] = place
    state.queued.append(place)


def _leave(state: Claims, command: Command, *, admitted: bool) -> None:
    """Let the line of the admitted, who is its head, move on by one."""
    queue = state.queues[command.data["campaign_id"]]
    line = queue.lines[queue.places.pop(command.data["user_id"]).partition]
    line.head += 1
    line.admitted += admitted
    queue.waiting -= 1
    line.changed = True


def _pay(state: Claims, command: Command, campaign_id: str, voucher: Voucher) -> None:
    """Book the whole of a new voucher: from the lease, or where that can't pay for it (an honoured claim) as loss."""
    lease, face_minor = state.leases[campaign_id], voucher.face_value_minor
    if lease.vouchers < 1 or lease.amount_minor < face_minor:
        if not lease.pays_with_returns(face_minor):
            loss = state.journal.movement(campaign_id, (Role.LOSS, lease.shard), (Role.GRANTED, lease.shard))
            loss.add(command, 0, 1, face_minor, voucher.voucher_id)
            lease.lost_minor += face_minor
            return
        _take_returned(state, command, campaign_id, lease)
    lease.vouchers -= 1
    lease.amount_minor -= face_minor
    if lease.grants is None:
        lease.grants = state.journal.movement(campaign_id, (Role.LEASE, lease.shard), (Role.GRANTED, lease.shard))
    lease.grants.add(command, 0, 1, face_minor, voucher.voucher_id)


def _take_returned(state: Claims, command: Command, campaign_id: str, lease: Lease) -> None:
    """Draw what this batch has returned to the pool: its own return covers the draw, whatever others do."""
    vouchers, amount_minor = lease.returned_vouchers, lease.returned_minor
    lease.vouchers += vouchers
    lease.amount_minor += amount_minor
    lease.returned_vouchers = lease.returned_minor = 0
    state.journal.post(command, 1, campaign_id, (Role.POOL, 0), (Role.LEASE, lease.shard), vouchers, amount_minor)


def _expire(state: Claims, command: Command) -> None:
    voucher = state.by_id[command.data["voucher_id"]]
    voucher.state = "expired"
    lease = state.leases.get(voucher.campaign_id)
    if lease is not None:
        lease.returned_vouchers += 1
        lease.returned_minor += voucher.face_value_minor
    if voucher.version >= 0:  # a voucher granted in this batch is written with its last state anyway
        state.changed[voucher.voucher_id] = voucher
    state.journal.post(
        command,
        0,
        voucher.campaign_id,
        (Role.GRANTED, voucher.shard),
        (Role.POOL, 0),
        1,
        voucher.face_value_minor,
        voucher.voucher_id,
    )

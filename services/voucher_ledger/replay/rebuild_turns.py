"""In which order orders took their vouchers. No IO.

A voucher serves one order at a time, and no clock tells which was first: commands bear the time at which they were
appended, a partition may lag behind the others, and producers' clocks go back. What is certain of a voucher's orders:

- One that keeps the voucher is the last.
- Each is over before the next one is reserved. So in any partition that has events of two of them, all of the first
  one's lie before the other's.
- A settlement leaves the voucher worth what it took off, and no later order takes off more. So an order that took off
  more than a settled one came before it.
- An order that would have taken off more than it did came when the voucher was worth just what it took off.

So orders are played one after the other, and the next is any that breaks none of these. Where several may be, it is
that whose latest event has the earliest time: nobody ends an order before he knows it reserved, so its end was appended
when the voucher was its own already, however late its reservation was decided.

The play never gets stuck where some order of orders is right, whichever is taken. For take that right order, and move
another one that may be the next to its front. Where it was not settled, or took off all that a voucher is worth, the
others find each voucher worth what it was. Else it leaves a voucher worth less; but as it may be the next, none of
those left took off more than that, so each still finds enough. And none that would have taken off more had found the
voucher worth more, for then it would have taken that: it found just as much, and still does. In the same way, one that
may be the next may be it until it is: what would make a voucher worth less than it took off may not come before it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

from voucher_ledger.core.records import Place
from voucher_ledger.ledger.model import Reservation
from voucher_ledger.replay.clock_order import stand_of
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.fold import EventData, Fold

WHOLE_BP = 10_000
_SHOWN_MAX = 5


@dataclass(slots=True)
class _Life:
    """An order from its reservation to its end. `drained` are the vouchers of which it took all there was, and would
    have taken more; `offsets` the first of its events in each partition.
    """

    reservation: Reservation
    is_settled: bool
    keeps: bool
    drained: frozenset[str]
    reserved_at: str = ""
    latest: str = ""
    offsets: dict[Place, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Line:
    """The orders of a voucher whose turn is still to come: by partition the next one last, and by what they took off
    the most last.
    """

    value_minor: int
    waiting: set[str] = field(default_factory=set)
    queues: dict[Place, list[str]] = field(default_factory=dict)
    taken: list[tuple[int, str]] = field(default_factory=list)

    def admits(self, life: _Life, voucher_id: str, discount_minor: int) -> bool:
        """Whether the order may be the next one of this voucher: see this file's beginning."""
        order_id = life.reservation.order_id
        if any(self.queues[partition][-1] != order_id for partition in life.offsets):
            return False
        if life.keeps and len(self.waiting) > 1:
            return False
        if life.is_settled and self.taken[-1][0] > discount_minor:
            return False
        if voucher_id in life.drained:
            return self.value_minor == discount_minor
        return self.value_minor >= discount_minor

    def passed(self, life: _Life, discount_minor: int) -> None:
        """The order had its turn."""
        self.waiting.remove(life.reservation.order_id)
        for partition in life.offsets:
            self.queues[partition].pop()
            if not self.queues[partition]:
                del self.queues[partition]
        while self.taken and self.taken[-1][1] not in self.waiting:
            self.taken.pop()
        if life.is_settled:
            self.value_minor = discount_minor


def in_turn(fold: Fold, events: Sequence[EventData], percents_bp: Mapping[str, int]) -> list[str]:
    """The orders of some users that share a voucher with others, those of each in the order in which they took it.
    `fold` has folded these events. `percents_bp` is what part of an order vouchers take off, by campaign, where it is
    not all of it.

    Raises Refused where there is no such order.
    """
    granted = (event["data"] for event in events if event["type"] == "voucher.granted")
    faces_minor = {data["voucher_id"]: data["face_value_minor"] for data in granted}
    lives = _lives(fold, events, _order_ids(fold, faces_minor), percents_bp)
    lines = _lines(faces_minor, lives)
    turns: list[str] = []
    known: set[str] = set()
    ready: list[tuple[str, str, str]] = []

    def look_at(order_ids: Iterable[str]) -> None:
        for order_id in order_ids:
            life = lives[order_id]
            if order_id not in known and all(
                lines[share[0]].admits(life, *share) for share in life.reservation.shares()
            ):
                known.add(order_id)
                heappush(ready, (life.latest, life.reserved_at, order_id))

    look_at(lives)
    while ready:
        *_, order_id = heappop(ready)
        turns.append(order_id)
        shares = lives[order_id].reservation.shares()
        for voucher_id, discount_minor in shares:
            lines[voucher_id].passed(lives[order_id], discount_minor)
        # An order that became ready did so by one of these vouchers, and is the next one there in some partition.
        look_at({queue[-1] for voucher_id, _ in shares for queue in lines[voucher_id].queues.values()})
    if len(turns) < len(lives):
        raise Refused(_contradiction(lines))
    return turns


def _order_ids(fold: Fold, faces_minor: Mapping[str, int]) -> set[str]:
    """Few orders share a voucher, and the rest need no play; but one that took more than there was is to be named."""
    uses = Counter(share[0] for reservation in fold.reservations.values() for share in reservation.shares())
    return {
        reservation.order_id
        for reservation in fold.reservations.values()
        for voucher_id, discount_minor in reservation.shares()
        if uses[voucher_id] > 1 or discount_minor > faces_minor[voucher_id]
    }


def _lives(
    fold: Fold, events: Iterable[EventData], order_ids: Iterable[str], percents_bp: Mapping[str, int]
) -> dict[str, _Life]:
    lives: dict[str, _Life] = {}
    for order_id in order_ids:
        reservation = fold.reservations[order_id]
        payment = fold.payment_of_order.get(order_id)
        gone = reservation.state == "refunded" and payment is not None and payment.payment_id not in fold.restored_by
        drained = _drained(reservation, percents_bp.get(reservation.campaign_id, WHOLE_BP))
        keeps = gone or reservation.state in ("held", "settled")
        lives[order_id] = _Life(reservation, payment is not None, keeps, drained)
    for event in events:
        life = lives.get(event["data"].get("order_id", ""))
        if life is None:
            continue
        partition, offset, time = stand_of(event)
        life.offsets[partition] = min(offset, life.offsets.get(partition, offset))
        life.latest = max(life.latest, time)
        if event["type"] == "order.reserved":
            life.reserved_at = time
    return lives


def _drained(reservation: Reservation, percent_bp: int) -> frozenset[str]:
    drained: set[str] = set()
    left_minor = reservation.amount_minor
    for voucher_id, discount_minor in reservation.shares():
        if left_minor * percent_bp // WHOLE_BP > discount_minor:
            drained.add(voucher_id)
        left_minor -= discount_minor
    return frozenset(drained)


def _lines(faces_minor: Mapping[str, int], lives: Mapping[str, _Life]) -> dict[str, _Line]:
    lines: dict[str, _Line] = {}
    queues: dict[tuple[str, Place], list[tuple[int, str]]] = {}
    for order_id, life in lives.items():
        for voucher_id, discount_minor in life.reservation.shares():
            line = lines.setdefault(voucher_id, _Line(faces_minor[voucher_id]))
            line.waiting.add(order_id)
            line.taken.append((discount_minor, order_id))
            for partition, offset in life.offsets.items():
                queues.setdefault((voucher_id, partition), []).append((offset, order_id))
    for (voucher_id, partition), queue in queues.items():
        lines[voucher_id].queues[partition] = [order_id for _, order_id in sorted(queue, reverse=True)]
    for line in lines.values():
        line.taken.sort()
    return lines


def _contradiction(lines: Mapping[str, _Line]) -> str:
    """Name the vouchers, and their orders, of which none could be the next one."""
    stuck = sorted((voucher_id, sorted(line.waiting)) for voucher_id, line in lines.items() if line.waiting)
    shown = "; ".join(f"voucher {name}: {', '.join(orders[:_SHOWN_MAX])}" for name, orders in stuck[:_SHOWN_MAX])
    return f"the events of orders contradict each other: in no order could they have taken their vouchers ({shown})"

"""The transfers that events stand for, voucher by voucher, and the balances that they leave. No IO."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from voucher_ledger.core.clock import milliseconds
from voucher_ledger.ledger.model import Payment, Role, RoleName, Voucher
from voucher_ledger.replay.answers import Cause
from voucher_ledger.replay.clock_order import cause_of, in_clock_order, stand_of
from voucher_ledger.replay.fold import EventData, Fold, rank_of
from voucher_ledger.replay.rebuild_turns import in_turn

Account = tuple[str, RoleName, int]
"""(campaign_id, role, shard)."""


class Transfer(NamedTuple):
    """A row of books.transfer; `cause_index` numbers what one command moved."""

    campaign_id: str
    debit: tuple[RoleName, int]
    credit: tuple[RoleName, int]
    vouchers: int
    amount_minor: int
    voucher_id: str | None
    order_id: str | None
    cause: Cause
    cause_index: int
    at_ms: int

    def line(self) -> str:
        """As COPY takes it: see COLUMNS."""
        return (
            f"{self.campaign_id}\t{self.debit[0]}\t{self.debit[1]}\t{self.credit[0]}\t{self.credit[1]}\t{self.vouchers}"
            f"\t{self.amount_minor}\t{self.voucher_id or ''}\t{self.order_id or ''}\t{self.cause.topic}"
            f"\t{self.cause.partition}\t{self.cause.offset}\t{self.cause_index}\t{self.at_ms}\n"
        )


COLUMNS = """campaign_id, debit_role, debit_shard, credit_role, credit_shard, vouchers, amount_minor, voucher_id,
    order_id, cause_topic, cause_partition, cause_offset, cause_index, at_ms"""


@dataclass(slots=True)
class Draw:
    """What one shard's lease must have drawn of a campaign for its grants, at the first of them."""

    cause: Cause
    at_ms: int
    vouchers: int = 0
    amount_minor: int = 0


@dataclass(slots=True)
class Movements:
    """Turns the events of some users after others into transfers; `losses` grants of a campaign are booked as loss, and
    `percents_bp` are the parts of an order that vouchers take off, by campaign, where it is not all of it.
    """

    losses: Counter[str]
    percents_bp: Mapping[str, int]
    draws: dict[tuple[str, int], Draw] = field(default_factory=dict)
    vouchers: Counter[Account] = field(default_factory=Counter)
    amounts_minor: Counter[Account] = field(default_factory=Counter)

    def of_users(self, fold: Fold, events: Sequence[EventData]) -> Iterator[Transfer]:
        """The transfers of a bucket's events, which `fold` has folded.

        Raises Refused where in no order could orders have taken their vouchers.
        """
        turns = {order_id: turn for turn, order_id in enumerate(in_turn(fold, events, self.percents_bp))}
        chains: dict[str, list[EventData]] = {}
        for event in events:
            if event["type"] in ("voucher.queued", "voucher.rejected"):
                continue  # these move nothing
            data = event["data"]
            order = fold.reservations.get(data.get("order_id", ""))
            for voucher_id in [data["voucher_id"]] if order is None else dict(order.shares()):
                chains.setdefault(voucher_id, []).append(event)
        for voucher_id, chain in chains.items():
            for transfer in self._of_voucher(fold, fold.vouchers[voucher_id], chain, turns):
                self.book(transfer)
                yield transfer

    def of_leases(self) -> Iterator[Transfer]:
        """One draw a lease that covers all its grants: what was drawn, returned and drawn again, no event tells."""
        for (campaign_id, shard), draw in sorted(self.draws.items()):
            transfer = Transfer(
                campaign_id, (Role.POOL, 0), (Role.LEASE, shard), draw.vouchers, draw.amount_minor, None, None,
                draw.cause, -1, draw.at_ms,
            )  # fmt: skip
            self.book(transfer)
            yield transfer

    def book(self, transfer: Transfer) -> None:
        """Add a transfer to the balances."""
        for (role, shard), sign in ((transfer.debit, -1), (transfer.credit, 1)):
            account = (transfer.campaign_id, role, shard)
            self.vouchers[account] += sign * transfer.vouchers
            self.amounts_minor[account] += sign * transfer.amount_minor

    def _of_voucher(
        self, fold: Fold, voucher: Voucher, chain: list[EventData], turns: Mapping[str, int]
    ) -> Iterator[Transfer]:
        """A voucher's movements. It is worth its face value, and after a settlement that order's discount; orders come
        one after the other, so the movements of an order need no look at another's but for that.
        """
        orders: dict[str, list[EventData]] = {}
        value_minor = voucher.face_value_minor
        for event in sorted(in_clock_order(chain, stand_of), key=rank_of):
            if event["type"] == "voucher.granted":
                value_minor = event["data"]["face_value_minor"]
                yield self._grant(voucher, event)
            elif "order_id" in event["data"]:
                orders.setdefault(event["data"]["order_id"], []).append(event)
        for order_id, order in sorted(orders.items(), key=lambda item: turns.get(item[0], 0)):
            shares = fold.reservations[order_id].shares()
            place = [voucher_id for voucher_id, _ in shares].index(voucher.voucher_id)
            share = Share(place, value_minor, shares[place][1])
            for event in order:
                yield from _of_order(fold, voucher, event, share, is_last=event is order[-1])
            if order_id in fold.payment_of_order:
                value_minor = share.discount_minor
        for event in chain:
            if event["type"] == "voucher.expired":
                granted = (Role.GRANTED, voucher.shard)
                yield _transfer(voucher, event, granted, (Role.POOL, 0), (1, value_minor), of_order=False)

    def _grant(self, voucher: Voucher, event: EventData) -> Transfer:
        campaign_id, shard = voucher.campaign_id, voucher.shard
        face_minor = event["data"]["face_value_minor"]
        debit: tuple[RoleName, int] = (Role.LOSS, shard)
        if self.losses[campaign_id] > 0:
            self.losses[campaign_id] -= 1
        else:
            debit = (Role.LEASE, shard)
            cause, at_ms = cause_of(event), milliseconds(event["time"])
            draw = self.draws.setdefault((campaign_id, shard), Draw(cause, at_ms))
            draw.vouchers += 1
            draw.amount_minor += face_minor
            if cause.offset < draw.cause.offset:
                draw.cause, draw.at_ms = cause, at_ms
        return _transfer(voucher, event, debit, (Role.GRANTED, shard), (1, face_minor), of_order=False)


class Share(NamedTuple):
    """One voucher of an order: its place among them, what it was worth before, and what it takes off."""

    place: int
    value_minor: int
    discount_minor: int


def _of_order(fold: Fold, voucher: Voucher, event: EventData, share: Share, *, is_last: bool) -> Iterator[Transfer]:
    """What an event of an order moves of one of its vouchers. Indexes count an order's vouchers; a settlement has two
    for each, what is spent and what is left.
    """
    granted, held, spent = ((role, voucher.shard) for role in (Role.GRANTED, Role.HELD, Role.SPENT))
    data, place = event["data"], share.place
    if event["type"] == "order.reserved":
        yield _transfer(voucher, event, granted, held, (1, share.value_minor), index=place)
    elif event["type"] in ("order.cancelled", "order.expired"):
        yield _transfer(voucher, event, held, granted, (1, share.value_minor), index=place)
    elif event["type"] == "payment.settled":
        yield _transfer(voucher, event, held, spent, (1, share.discount_minor), index=2 * place)
        unused_minor = share.value_minor - share.discount_minor
        if unused_minor:
            yield _transfer(voucher, event, held, (Role.POOL, 0), (0, unused_minor), index=2 * place + 1)
    elif _completes(fold.payments[data["payment_id"]], data, is_last=is_last):
        # A refund of a part moves nothing; the one that leaves nothing to refund gives the discount back.
        taker: tuple[RoleName, int] = granted if data["voucher_restored"] else (Role.POOL, 0)
        yield _transfer(voucher, event, spent, taker, (1, share.discount_minor), index=place)


def _completes(payment: Payment, data: EventData, *, is_last: bool) -> bool:
    """Whether a refund is the one that left nothing to refund. It says so itself, and need not be the latest by its
    time: another partition's clock may be ahead. Only where there was no discount, and no voucher to give back, does
    it not say so, and then nothing but the moment depends on it.
    """
    if payment.state != "refunded":
        return False
    if payment.discount_minor == 0 and not data["voucher_restored"]:
        return is_last
    return bool(data["discount_returned_minor"] or data["voucher_restored"])


def _transfer(
    voucher: Voucher,
    event: EventData,
    debit: tuple[RoleName, int],
    credit: tuple[RoleName, int],
    moved: tuple[int, int],
    *,
    of_order: bool = True,
    index: int = 0,
) -> Transfer:
    order_id = event["data"]["order_id"] if of_order else None
    return Transfer(
        voucher.campaign_id, debit, credit, *moved, voucher.voucher_id, order_id, cause_of(event), index,
        milliseconds(event["time"]),
    )  # fmt: skip

"""The rooms by name, each with what it needs from outside."""

from collections.abc import Callable
from typing import Any

from voucher_ledger.campaigns.store import CampaignsRoom
from voucher_ledger.claims.store import ClaimsRoom
from voucher_ledger.orders.store import OrdersRoom
from voucher_ledger.payments.store import PaymentsRoom
from voucher_ledger.runtime import topics
from voucher_ledger.runtime.room import Room
from voucher_ledger.runtime.settings import Settings

ROOMS: dict[str, Callable[[Settings], Room[Any]]] = {
    "campaigns": lambda _settings: CampaignsRoom(),
    "claims": lambda settings: ClaimsRoom(topics.describe(settings, ClaimsRoom.command_topic).partitions),
    "orders": lambda _settings: OrdersRoom(),
    "payments": lambda _settings: PaymentsRoom(),
}

"""A ledger written by the rooms themselves, without Kafka: what the audit is tried on."""

from typing import Any

from voucher_ledger.campaigns.store import CampaignsRoom
from voucher_ledger.claims.store import ClaimsRoom
from voucher_ledger.core.clock import rfc3339
from voucher_ledger.core.envelope import encoder
from voucher_ledger.core.records import Command, Event
from voucher_ledger.orders.store import OrdersRoom
from voucher_ledger.payments.store import PaymentsRoom
from voucher_ledger.runtime.outbox import Outbox, Share
from voucher_ledger.runtime.postgres import connect
from voucher_ledger.runtime.room import Room

START_MS = 1_770_336_000_000
DAY_MS = 86_400_000


class Books:
    """Decides batches by the rooms themselves, with position and outbox as the runtime writes them."""

    def __init__(self, dsn: str) -> None:
        self.connection = connect(dsn, application="test", batch=True)
        self.claims = ClaimsRoom(2)
        self.next_offsets: dict[tuple[str, int], int] = {}

    def commands(
        self, room: Room[Any], partition: int, time_ms: int, *given: tuple[str, str, dict[str, Any]]
    ) -> list[Command]:
        first = self.next_offsets.get((room.command_topic, partition), 0)
        return [
            Command(type_, command_id, data, partition, first + place, time_ms)
            for place, (type_, command_id, data) in enumerate(given)
        ]

    def decide(self, room: Room[Any], commands: list[Command], state: Any = None) -> list[Event]:
        partition, next_offset = commands[0].partition, commands[-1].offset + 1
        state = state or room.prepare(self.connection, commands, lock=False)
        events: list[Event] = []
        with self.connection.transaction():
            room.load(self.connection, state, commands, lock=False)
            for command in commands:
                event = room.decide(state, command)
                room.evolve(state, command, event)
                events.append(event)
            room.write(self.connection, state)
            self.connection.execute(
                """INSERT INTO books.position AS p (topic, partition, next_offset, epoch, topic_id, instance, decided)
                   VALUES (%s, %s, %s, 1, 'id', 'test-0', %s) ON CONFLICT (topic, partition)
                   DO UPDATE SET next_offset = EXCLUDED.next_offset, decided = p.decided + EXCLUDED.decided""",
                (room.command_topic, partition, next_offset, len(commands)),
            )
            share = Share(partition, commands[0].offset, next_offset)
            encode = encoder(room.name, room.command_topic, partition)
            share.events += [encode(event, command) for event, command in zip(events, commands, strict=True)]
            Outbox(room.command_topic, room.key_field).insert(self.connection, [share])
        self.next_offsets[room.command_topic, partition] = next_offset
        return events

    def when(
        self, room: Room[Any], partition: int, time_ms: int, *given: tuple[str, str, dict[str, Any]]
    ) -> list[Event]:
        events = self.decide(room, self.commands(room, partition, time_ms, *given))
        refused = [event for event in events if event.type.endswith(".rejected")]
        assert not refused
        return events

    def claim(self, partition: int, *user_ids: str, campaign_id: str = "grey") -> list[str]:
        """Grant one voucher a user; their ids."""
        given = [
            ("voucher.claim", f"claim-{user_id}-{place}", {"campaign_id": campaign_id, "user_id": user_id})
            for place, user_id in enumerate(user_ids)
        ]
        return [event.data["voucher_id"] for event in self.when(self.claims, partition, START_MS + 1, *given)]

    def reserve(self, user_id: str, voucher_id: str, amount_minor: int) -> None:
        order = {
            "order_id": f"order-{user_id}",
            "user_id": user_id,
            "voucher_id": voucher_id,
            "merchant_id": "m",
            "category": "hotel",
            "amount_minor": amount_minor,
        }
        self.when(OrdersRoom(), 0, START_MS + 2, ("order.reserve", f"reserve-{user_id}", order))

    def settle(self, user_id: str, paid_minor: int) -> None:
        payment = {
            "payment_id": f"payment-{user_id}",
            "order_id": f"order-{user_id}",
            "user_id": user_id,
            "paid_minor": paid_minor,
        }
        self.when(PaymentsRoom(), 0, START_MS + 3, ("payment.settle", f"settle-{user_id}", payment))

    def refund(self, user_id: str, amount_minor: int) -> None:
        refund = {
            "refund_id": f"refund-{user_id}",
            "payment_id": f"payment-{user_id}",
            "order_id": f"order-{user_id}",
            "user_id": user_id,
            "amount_minor": amount_minor,
        }
        self.when(PaymentsRoom(), 0, START_MS + 4, ("payment.refund", f"refund-{user_id}", refund))


def open_campaign(books: Books, campaign_id: str, **changed: object) -> None:
    data = {
        "campaign_id": campaign_id,
        "name": "Grey release",
        "currency": "CNY",
        "quota": 10,
        "budget_minor": 25_000,
        "voucher": {"kind": "amount_off", "face_value_minor": 2_500},
        "starts_at": rfc3339(START_MS),
        "ends_at": rfc3339(START_MS + DAY_MS),
        "per_user_limit": 2,
        "voucher_ttl_s": 7_200,
        "hold_ttl_s": 3_600,
        "categories": ["hotel", "tea"],
        "category_budgets_minor": {"hotel": 25_000},
        **changed,
    }
    books.when(CampaignsRoom(), 0, START_MS, ("campaign.open", f"open-{campaign_id}", data))


def write_several(books: Books) -> None:
    """Orders of several vouchers, by partitions of their own: three held, three spent, two given back by a refund."""
    open_campaign(books, "stacked", quota=20, budget_minor=50_000, per_user_limit=3, vouchers_per_order_max=3)
    orders = [("stacks-holds", 3, 7_000), ("stacks-pays", 3, 6_000), ("stacks-back", 2, 5_500)]
    for user_id, count, amount_minor in orders:
        first, *more = books.claim(0, *[user_id] * count, campaign_id="stacked")
        order = {
            "order_id": f"order-{user_id}",
            "user_id": user_id,
            "voucher_id": first,
            "more_voucher_ids": more,
            "merchant_id": "m",
            "category": "hotel",
            "amount_minor": amount_minor,
        }
        books.when(OrdersRoom(), 1, START_MS + 2, ("order.reserve", f"reserve-{user_id}", order))
    for user_id, paid_minor in [("stacks-pays", 0), ("stacks-back", 500)]:
        payment = {"order_id": f"order-{user_id}", "user_id": user_id, "paid_minor": paid_minor}
        settle = ("payment.settle", f"settle-{user_id}", {**payment, "payment_id": f"payment-{user_id}"})
        books.when(PaymentsRoom(), 1, START_MS + 3, settle)
    refund = {
        "refund_id": "refund-stacks-back",
        "payment_id": "payment-stacks-back",
        "order_id": "order-stacks-back",
        "user_id": "stacks-back",
        "amount_minor": 500,
    }
    books.when(PaymentsRoom(), 1, START_MS + 4, ("payment.refund", "refund-stacks-back", refund))


def write_history(books: Books) -> None:
    """A history in which every state of vouchers, reservations and payments occurs: see the users' names."""
    open_campaign(books, "grey")
    open_campaign(books, "other", quota=50, budget_minor=125_000)
    top_up = {"campaign_id": "grey", "quota": 2, "budget_minor": 5_000, "approved_by": "finance", "reason": "gone"}
    books.when(CampaignsRoom(), 0, START_MS, ("campaign.top_up", "top-1", top_up))
    shard_0 = ["twice", "twice", "holds", "pays", "pays-less", "expires"]
    shard_1 = ["cancels", "refunds", "refunds-part"]
    vouchers = dict(zip(shard_0, books.claim(0, *shard_0), strict=True))
    vouchers |= dict(zip(shard_1, books.claim(1, *shard_1), strict=True))
    for user_id, amount_minor in [
        ("holds", 3_000),
        ("pays", 3_000),
        ("pays-less", 2_000),
        ("cancels", 3_000),
        ("refunds", 3_000),
        ("refunds-part", 3_000),
    ]:
        books.reserve(user_id, vouchers[user_id], amount_minor)
    cancel = {"order_id": "order-cancels", "user_id": "cancels", "reason": "rain"}
    books.when(OrdersRoom(), 0, START_MS + 3, ("order.cancel", "cancel-1", cancel))
    for user_id, paid_minor in [("pays", 500), ("pays-less", 0), ("refunds", 500), ("refunds-part", 500)]:
        books.settle(user_id, paid_minor)
    books.refund("refunds", 500)
    books.refund("refunds-part", 200)
    expire = {"campaign_id": "grey", "user_id": "expires", "voucher_id": vouchers["expires"]}
    books.when(books.claims, 0, START_MS + DAY_MS, ("voucher.expire", "expire-1", expire))
    # The one voucher of a campaign: expired and, in the same batch, granted to the next user.
    open_campaign(books, "tiny", quota=1, budget_minor=2_500, ends_at=rfc3339(START_MS + 2 * DAY_MS))
    (only,) = books.claim(1, "first", campaign_id="tiny")
    books.when(
        books.claims,
        1,
        START_MS + DAY_MS,
        ("voucher.expire", "expire-2", {"campaign_id": "tiny", "user_id": "first", "voucher_id": only}),
        ("voucher.claim", "claim-next", {"campaign_id": "tiny", "user_id": "next"}),
    )
    # Three claims for the one voucher of a campaign that honours overspending, and the last of them expires.
    open_campaign(books, "past", quota=1, budget_minor=2_600, overspend="honour")
    *_, last = books.claim(1, "within", "past-1", "past-2", campaign_id="past")
    expire = {"campaign_id": "past", "user_id": "past-2", "voucher_id": last}
    books.when(books.claims, 1, START_MS + DAY_MS, ("voucher.expire", "expire-3", expire))
    # Two users wait for the one voucher of a campaign; it expires, and the first of them is admitted.
    open_campaign(
        books, "line", quota=1, budget_minor=2_500, ends_at=rfc3339(START_MS + 2 * DAY_MS), when_empty="queue"
    )
    (only,) = books.claim(0, "served", campaign_id="line")
    waits = [
        ("voucher.claim", f"claim-{user_id}", {"campaign_id": "line", "user_id": user_id})
        for user_id in ("admitted", "waits")
    ]
    books.when(books.claims, 0, START_MS + 1, *waits)
    expire = {"campaign_id": "line", "user_id": "served", "voucher_id": only}
    admit = {"campaign_id": "line", "user_id": "admitted", "claim_id": "claim-admitted"}
    books.when(
        books.claims, 0, START_MS + DAY_MS, ("voucher.expire", "expire-4", expire), ("voucher.admit", "admit-1", admit)
    )
    write_several(books)
    _write_limited(books)
    # The first batch's row is pruned, as it is once its events are known to be published.
    books.connection.execute("DELETE FROM books.outbox WHERE topic = 'claim.commands' AND first_offset = 0")


def _write_limited(books: Books) -> None:
    """A campaign in which a device and a channel are at their limit, and a user on both sides of midnight in China."""
    limits = {"per_user_day": 1, "per_device": 2, "channel_quotas": {"app": 3}, "day_utc_offset_minutes": 480}
    open_campaign(books, "limited", limits=limits)
    midnight_ms = START_MS + 16 * 3_600_000
    for at_ms, user_id, more in [
        (midnight_ms - 1, "early", {"device_id": "shared", "channel": "app"}),
        (midnight_ms, "early", {"device_id": "shared", "channel": "app"}),
        (midnight_ms, "late", {"device_id": "other", "channel": "app"}),
        (midnight_ms, "plain", {"channel": "web"}),
    ]:
        data = {"campaign_id": "limited", "user_id": user_id, **more}
        books.when(books.claims, 1, at_ms, ("voucher.claim", f"claim-{user_id}-{at_ms}", data))

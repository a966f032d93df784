"""A day whose every count is known: hours of record time, played step by step by live processors and the sweeper's own
rounds, so that no count of it hangs on which partition was faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from tests.integration.broker import WAIT_SECONDS_MAX, reset_broker
from tests.integration.commands import campaign_open, cancel, claim, envelope, reserve, settle
from tests.integration.replay_days import stop_all
from tests.integration.world import World
from voucher_ledger.core.clock import milliseconds
from voucher_ledger.produce.clients import known_topics
from voucher_ledger.runtime import kafka, topics
from voucher_ledger.sweeper.loop import Sweep, new_underway
from voucher_ledger.sweeper.plan import RecentlySent

BEGINS = "2026-02-06T00:00:00Z"
BEGINS_MS = milliseconds(BEGINS)
SWEPT = ("claim.commands", "order.commands")
ROOMS = ("campaigns", "claims", "orders", "payments")

# What came of the campaign `day`, and what each step below has to do with it.
DAY = {
    "granted": 25, "claims_refused.sold_out": 10, "expired": 17,
    "orders": 8, "orders_cancelled": 1, "orders_expired": 3, "orders_refused.category_budget_exhausted": 1,
    "settled": 4, "refunded": 1, "payments_refused.amount_mismatch": 1, "spend_minor": 3 * 2_500, "paid_minor": 3 * 500,
}  # fmt: skip


@dataclass(slots=True)
class Player:
    """Sends commands at seconds after BEGINS, and goes on once all there is was answered."""

    world: World

    def send(self, topic: str, commands: Sequence[tuple[float, dict[str, Any]]]) -> None:
        """Send (second, command), and wait for the answers."""
        key_field = "campaign_id" if topic == "campaign.commands" else "user_id"
        for second, command in commands:
            key = command["data"][key_field].encode()
            time_ms = BEGINS_MS + round(second * 1_000)
            self.world.producer.produce(topic, orjson.dumps(command), key, timestamp=time_ms)
        assert self.world.producer.flush(WAIT_SECONDS_MAX) == 0
        self.answered(topic)

    def answered(self, *topics_sent_to: str) -> None:
        """Wait until every command of these topics is answered."""
        for topic in topics_sent_to:
            self.world.wait_answered(topic, len(self.world.read(topic)))

    def sweep(self) -> None:
        """Let the sweeper look until nothing is due any more: by record time, that is by the latest command."""
        sweep = Sweep(self.world.settings, RecentlySent(1_000, 60_000), new_underway())
        while sweep.round():
            self.answered(*SWEPT)
        if sweep.admit():
            self.answered(*SWEPT)
        sweep.close()

    def granted(self) -> dict[str, dict[str, Any]]:
        """The last voucher that each user was granted."""
        events = self.world.outcomes("claim")
        return {e["data"]["user_id"]: e["data"] for e in events if e["type"] == "voucher.granted"}

    def reserved(self) -> dict[str, dict[str, Any]]:
        """The reserved orders by id."""
        return {e["data"]["order_id"]: e["data"] for e in self.world.outcomes("order") if e["type"] == "order.reserved"}


def user(number: int) -> str:
    return f"user-{number:06d}"


def simulated_times(world: World) -> None:
    """Make the topics anew with the producers' times."""
    known_topics(world.producer, world.settings.kafka, topics.wanted_topics())
    reset_broker(world.settings)
    topics.ensure_topics(world.settings, record_time="CreateTime")


def play(world: World) -> None:
    """The day `day`, beside it the waiting room `line` and the clock `other`; processors are stopped at its end."""
    simulated_times(world)
    for room in ROOMS:
        world.spawn(room)
    player = Player(world)
    _open(player)
    player.send("claim.commands", [(n, _claim(n)) for n in range(20)])
    player.send("claim.commands", [(n, _claim(n)) for n in range(20, 30)])
    player.send("claim.commands", [(40 + n, claim(n, "line")) for n in range(2)])
    player.send("claim.commands", [(50 + n, claim(n, "line")) for n in range(2, 4)])
    _buy(player)
    player.send("claim.commands", [(900, claim(0, "other"))])
    player.sweep()
    top_up = {"campaign_id": "line", "quota": 2, "budget_minor": 5_000, "approved_by": "ada", "reason": "two wait"}
    player.send("campaign.commands", [(2_000, envelope("campaign.top_up", "more", top_up))])
    player.send("claim.commands", [(2_001, claim(1, "other"))])
    player.sweep()
    _buy_with_what_the_line_gave(player)
    player.send("claim.commands", [(4_000, claim(2, "other"))])
    player.sweep()
    player.send("claim.commands", [(4_100 + n, _claim(100 + n)) for n in range(5)])
    stop_all(world)


def _open(player: Player) -> None:
    rules = {"starts_at": "2026-02-05T00:00:00Z", "ends_at": "2026-03-01T00:00:00Z", "budget_minor": 1_000_000}
    day = campaign_open(
        "day", **rules, quota=20, voucher_ttl_s=3_600, hold_ttl_s=600, categories=["film", "tea"],
        category_budgets_minor={"film": 12_500},
    )  # fmt: skip
    line = campaign_open("line", **rules, quota=2, when_empty="queue", voucher_ttl_s=86_400)
    other = campaign_open("other", **rules, quota=100)
    player.send("campaign.commands", [(-60, day), (-60, line), (-60, other)])


def _claim(number: int) -> dict[str, Any]:
    return claim(number, "day", city_tier=1 + number % 3)


def _buy(player: Player) -> None:
    granted = player.granted()
    vouchers = {n: granted[user(n)] for n in range(2, 20)}  # the first two have one of `line` since
    order: dict[str, Any] = {"amount_minor": 3_000}
    player.send(
        "order.commands",
        [(60 + n, reserve(f"o{n}", vouchers[n], **order, city_tier=1 + n % 3)) for n in (2, 3, 4, 5, 6)],
    )
    player.send("order.commands", [(70, reserve("o7", vouchers[7], **order, city_tier=2))])  # no budget for films left
    player.send(
        "order.commands", [(80 + n, reserve(f"o{n}", vouchers[n], category="tea", **order)) for n in (8, 9, 15)]
    )
    orders = player.reserved()
    player.send("payment.commands", [(120 + n, settle(f"p{n}", orders[f"o{n}"])) for n in (2, 3, 8, 15)])
    player.send("payment.commands", [(140, settle("p4", orders["o4"], paid_minor=1))])
    player.send("order.commands", [(150, cancel(orders["o5"]))])
    refund = {"refund_id": "r3", "payment_id": "p3", "order_id": "o3", "user_id": user(3), "amount_minor": 500}
    player.send("payment.commands", [(180, envelope("payment.refund", "refund-3", refund))])


def _buy_with_what_the_line_gave(player: Player) -> None:
    admitted = player.granted()[user(3)]
    player.send("order.commands", [(2_100, reserve("line-3", admitted, amount_minor=3_000))])


def offsets_of(world: World) -> dict[str, dict[tuple[str, int], int]]:
    """Every consumer group with its committed offsets."""
    admin = AdminClient(kafka.admin_config(world.settings))
    groups = sorted(group.group_id for group in admin.list_consumer_groups().result().valid)
    found: dict[str, dict[tuple[str, int], int]] = {}
    for group in groups:
        answer = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result()
        found[group] = {(part.topic, part.partition): part.offset for part in answer.topic_partitions or []}
    return found


def ledger_of(world: World) -> dict[str, str]:
    """A hash of every row of every table of the books, but for the journal of operations."""
    tables = world.connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'books' AND tablename <> 'operation' ORDER BY tablename"
    ).fetchall()
    found: dict[str, str] = {}
    for (table,) in tables:
        query = f"SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM books.{table} t"
        row = world.connection.execute(query.encode()).fetchone()
        assert row is not None
        found[table] = row[0]
    return found


def sandboxes_of(world: World) -> list[str]:
    """The sandboxes on the server, kept ones too."""
    rows = world.connection.execute(
        "SELECT datname FROM pg_database WHERE datname LIKE 'voucher_ledger_what_if%' OR datname LIKE "
        "'voucher_ledger_kept%' ORDER BY datname"
    )
    return [name for (name,) in rows]

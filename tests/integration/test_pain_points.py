"""What users of voucher engines and ledgers suffer from, each a real thread, on a real broker and a real Postgres."""

import signal
from typing import Any

import pytest

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.commands import FACE_MINOR, cancel, claim, envelope, expire, reserve, settle
from tests.integration.world import World

pytestmark = pytest.mark.integration

PARTITIONS = 8
# So small that both processes have several batches in hand, and meet in the books.
SMALL_BATCHES = {"VOUCHER_LEDGER_BATCH_RECORDS_MAX": "7"}


@pytest.fixture
def market(world: World) -> World:
    """Two processes of each room, all at work."""
    for room in ("claims", "orders", "payments"):
        for number in range(2):
            world.spawn(room, instance=f"{room}-{number}", environment=SMALL_BATCHES)
    return world


def granted(world: World, count: int) -> list[dict[str, Any]]:
    """The vouchers of users 0 to `count`, claimed and granted."""
    world.send("claim.commands", [claim(number) for number in range(count)])
    outcomes = world.outcomes("claim", count)
    assert {event["type"] for event in outcomes} == {"voucher.granted"}
    return sorted((event["data"] for event in outcomes), key=lambda data: str(data["user_id"]))


def spread(world: World, topic: str, commands: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The outcomes of `commands`, sent to all partitions in turn, as producers do that hash keys differently."""
    room = topic.removesuffix(".commands")
    seen = {event["id"] for event in world.outcomes(room)}
    for partition in range(PARTITIONS):
        world.send(topic, commands[partition::PARTITIONS], partition=partition)
    return [event for event in world.outcomes(room, len(seen) + len(commands)) if event["id"] not in seen]


def of_type(events: list[dict[str, Any]], type_: str) -> list[dict[str, Any]]:
    """The data of the events of one type."""
    return [event["data"] for event in events if event["type"] == type_]


def reasons(events: list[dict[str, Any]]) -> set[str]:
    """Why commands were refused."""
    return {event["data"]["reason"] for event in events if "reason" in event["data"]}


def committed_minor(world: World, category: str = "film") -> int:
    """What a category has committed, by its budget's own row."""
    row = world.connection.execute(
        "SELECT committed_minor FROM books.category_budget WHERE category = %s", (category,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_check_before_lock_does_not_redeem_5_of_3(market: World) -> None:
    """fossasia/eventyay#1398: the limit was read before the lock was taken, and 3 vouchers were redeemed 5 times."""
    market.open_campaign(quota=3, budget_minor=3 * FACE_MINOR)
    outcomes = spread(market, "claim.commands", [claim(number) for number in range(80)])
    assert len(of_type(outcomes, "voucher.granted")) == 3
    assert reasons(outcomes) == {"sold_out"}
    assert market.faults() == []


def test_a_single_use_coupon_is_not_used_without_limit(market: World) -> None:
    """vendure PR#4660: each order checked the coupon's use for itself."""
    market.open_campaign()
    voucher = granted(market, 1)[0]
    orders = spread(market, "order.commands", [reserve(f"order-{number}", voucher) for number in range(80)])
    reserved = of_type(orders, "order.reserved")
    assert len(reserved) == 1
    assert reasons(orders) == {"voucher_held"}
    assert of_type(spread(market, "payment.commands", [settle("payment-1", reserved[0])]), "payment.settled")
    again = spread(market, "order.commands", [reserve(f"later-{number}", voucher) for number in range(16)])
    assert reasons(again) == {"voucher_used"}
    assert of_type(again, "order.reserved") == []
    assert market.faults() == []


def test_a_lock_on_the_code_does_not_stand_for_the_cap_of_the_campaign(market: World) -> None:
    """shopware#11245: each code was locked, and many codes at once passed the cap that they share."""
    market.open_campaign(categories=["film"], category_budgets_minor={"film": 3 * FACE_MINOR})
    vouchers = granted(market, 40)
    orders = spread(market, "order.commands", [reserve(f"order-{v['user_id']}", v) for v in vouchers])
    assert len(of_type(orders, "order.reserved")) == 3
    assert reasons(orders) == {"category_budget_exhausted"}
    assert committed_minor(market) == 3 * FACE_MINOR
    assert market.faults() == []


def test_no_budget_update_is_lost_when_orders_are_reverted(market: World) -> None:
    """medusajs/medusa#16595: two reverts read the same budget and wrote it back, and one was lost."""
    market.open_campaign(categories=["film"], category_budgets_minor={"film": 20 * FACE_MINOR})
    vouchers = granted(market, 40)
    first = spread(market, "order.commands", [reserve(f"order-{v['user_id']}", v) for v in vouchers])
    held = of_type(first, "order.reserved")
    assert len(held) == 20
    cancels = [cancel(order) for order in held[:16]]
    refused = {event["user_id"] for event in of_type(first, "order.rejected")}
    meanwhile = [reserve(f"second-{v['user_id']}", v) for v in vouchers if v["user_id"] in refused]
    mixed = spread(market, "order.commands", [*cancels, *meanwhile])
    assert len(of_type(mixed, "order.cancelled")) == 16
    count_held = 4 + len(of_type(mixed, "order.reserved"))
    assert committed_minor(market) == count_held * FACE_MINOR <= 20 * FACE_MINOR
    assert market.faults() == []


def test_a_use_is_given_back_on_cancel(market: World) -> None:
    """Sylius#10125, magento2#19545: a cancelled order kept its coupon used."""
    market.open_campaign()
    voucher = granted(market, 1)[0]
    for number in range(3):
        order = of_type(spread(market, "order.commands", [reserve(f"order-{number}", voucher)]), "order.reserved")
        twice = [cancel(order[0]), cancel(order[0])]  # a cancel sent twice gives back once
        assert len(of_type(spread(market, "order.commands", twice), "order.cancelled")) == 2
    assert market.balances()["granted", "VOUCHER"] == 1
    assert market.balances()["held", "VOUCHER"] == 0
    assert market.faults() == []


def test_a_gift_card_is_not_spent_twice_by_two_payments(market: World) -> None:
    """spree PR#13734: two captures of one order at once."""
    market.open_campaign()
    order = of_type(spread(market, "order.commands", [reserve("order-1", granted(market, 1)[0])]), "order.reserved")[0]
    payments = spread(market, "payment.commands", [settle(f"payment-{number}", order) for number in range(40)])
    assert len(of_type(payments, "payment.settled")) == 1
    assert reasons(payments) == {"order_not_open"}
    assert market.balances()["spent", "CNY"] == FACE_MINOR
    assert market.faults() == []


def test_a_gift_card_is_not_spent_twice_by_two_orders(market: World) -> None:
    """spree PR#13734: two orders with one card at once, each paid as soon as it is reserved."""
    market.open_campaign()
    for voucher in granted(market, 4):
        orders = [reserve(f"{voucher['user_id']}-{number}", voucher) for number in range(2)]
        reserved = of_type(spread(market, "order.commands", orders), "order.reserved")
        assert len(reserved) == 1
        forged = [{**reserved[0], "order_id": order["data"]["order_id"]} for order in orders]
        payments = spread(market, "payment.commands", [settle(f"pay-{o['order_id']}", o) for o in forged])
        assert len(of_type(payments, "payment.settled")) == 1
        assert reasons(payments) == {"unknown_order"}
    assert market.balances()["spent", "VOUCHER"] == 4
    assert market.faults() == []


def test_holds_count_in_a_balance_check(market: World) -> None:
    """blnk#181: the check read the balance without what is in flight."""
    market.open_campaign(
        quota=2, budget_minor=2 * FACE_MINOR, categories=["film"], category_budgets_minor={"film": 2 * FACE_MINOR - 1}
    )
    vouchers = granted(market, 2)
    orders = [reserve(f"order-{number}", voucher) for number, voucher in enumerate(vouchers)]
    first = spread(market, "order.commands", orders)
    assert len(of_type(first, "order.reserved")) == 1
    assert reasons(first) == {"category_budget_exhausted"}  # what is held is committed, though not yet spent
    held = next(v for v in vouchers if v["user_id"] == of_type(first, "order.reserved")[0]["user_id"])
    refused = spread(market, "claim.commands", [claim(7), expire(held)])
    assert reasons(refused) == {"sold_out", "voucher_held"}  # nor can its card be granted to another, or expire
    assert market.faults() == []


def test_no_stock_is_stranded_by_a_crash_between_the_draw_and_the_grant(world: World) -> None:
    """haopengmai/dianping#1: stock was taken first, and lost when the process died before the order was queued."""
    world.open_campaign(quota=100, budget_minor=100 * FACE_MINOR)
    world.send("claim.commands", [claim(number) for number in range(30)], partition=0)
    killed = world.spawn("claims", instance="claims-0", window="before_commit")
    assert killed.wait(WAIT_SECONDS_MAX) == -signal.SIGKILL
    assert world.balances()["lease", "VOUCHER"] > 0
    assert world.balances()["granted", "VOUCHER"] == 0
    world.spawn("claims", instance="claims-1", environment=SMALL_BATCHES)
    others = [claim(number) for number in range(30, 200)]
    for partition in range(1, PARTITIONS):
        world.send("claim.commands", others[partition - 1 :: PARTITIONS - 1], partition=partition)
    outcomes = world.outcomes("claim", 200)
    assert len(of_type(outcomes, "voucher.granted")) == 100
    assert reasons(outcomes) == {"sold_out"}
    assert world.balances()["lease", "VOUCHER"] == world.balances()["pool", "VOUCHER"] == 0
    assert world.faults() == []


def test_no_discounted_order_commits_once_the_counter_stands_at_its_limit(market: World) -> None:
    """shopperlabs/shopper#510: the use counter stopped at the limit, and orders went on with the discount."""
    market.open_campaign(quota=5, budget_minor=5 * FACE_MINOR, per_user_limit=2)
    # Everybody orders at once, whether or not the claim was granted: with the id that a grant would have had.
    claims = spread(market, "claim.commands", [claim(number) for number in range(40)])
    wanted = [
        {"user_id": event["data"]["user_id"], "voucher_id": "v{}-{}".format(*event["id"].split("/")[1:3])}
        for event in claims
    ]
    orders = spread(market, "order.commands", [reserve(f"order-{w['user_id']}", w) for w in wanted])
    reserved = of_type(orders, "order.reserved")
    assert len(reserved) == len(of_type(claims, "voucher.granted")) == 5
    assert reasons(orders) == {"unknown_voucher"}
    unreserved = [
        envelope("payment.settle", f"s-{w['user_id']}", {
            "payment_id": f"p-{w['user_id']}", "order_id": f"order-{w['user_id']}", "user_id": w["user_id"],
            "paid_minor": 0,
        })
        for w in wanted
    ]  # fmt: skip
    payments = spread(market, "payment.commands", unreserved)
    assert len(of_type(payments, "payment.settled")) == 5
    assert sum(data["discount_minor"] for data in of_type(payments, "payment.settled")) == 5 * FACE_MINOR
    assert market.balances()["spent", "CNY"] == 5 * FACE_MINOR
    assert market.faults() == []

"""A vertical is data: one nobody has heard of needs no code, no restart and no migration."""

from typing import Any

import pytest

from tests.integration.commands import FACE_MINOR, claim, reserve
from tests.integration.world import World

pytestmark = pytest.mark.integration


def test_a_vertical_is_added_while_the_processors_run(world: World) -> None:
    for room in ("claims", "orders"):
        world.spawn(room, instance=f"{room}-0")
    world.wait_held_by("order.commands", "orders-0")
    world.open_campaign(
        categories=["pet-grooming"], category_budgets_minor={"pet-grooming": FACE_MINOR}, per_user_limit=1
    )
    world.send("claim.commands", [claim(number) for number in range(3)])
    vouchers = sorted((event["data"] for event in world.outcomes("claim", 3)), key=lambda data: str(data["user_id"]))

    orders = [
        reserve("o-0", vouchers[0], category="pet-grooming"),
        reserve("o-1", vouchers[1], category="pet-grooming"),
        reserve("o-2", vouchers[2], category="film"),
    ]
    answers: dict[str, dict[str, Any]] = {}
    for count, order in enumerate(orders, 1):
        world.send("order.commands", [order])
        answers = {event["data"]["order_id"]: event for event in world.outcomes("order", count)}
    assert answers["o-0"]["type"] == "order.reserved"
    assert answers["o-1"]["data"]["reason"] == "category_budget_exhausted"
    assert answers["o-2"]["data"]["reason"] == "category_not_allowed"
    assert world.faults() == []

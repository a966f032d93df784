"""Made-up days for the picture's tests: states as `report` makes them of rollups."""

from typing import Any

from tests.unit.demand_given import FACE_MINOR, START, facts, kept_after, row
from voucher_ledger.monitor import outlook, view
from voucher_ledger.monitor.facts import Facts

HOURS = 6
DAY_SECONDS = 86_400


def state_of(*rows: dict[str, Any], facts: Facts | None, at: int = HOURS * 3_600, **changes: Any) -> dict[str, Any]:
    """The state of one campaign `at` seconds after START, in which these rows were counted."""
    kept = kept_after(*rows)
    one = outlook.look("grey", kept, facts, START + at, 0)
    made = {"alerts": [], "campaign": view.in_full(one, kept), "crossing": {"at": None, "problem": "not counted"}}
    return {**made, **changes}


def empty_day() -> dict[str, Any]:
    """A campaign that nobody has asked anything."""
    one = outlook.look("grey", {}, facts(), START, 0)
    return {"alerts": [], "campaign": view.in_full(one, {}), "crossing": {"at": None, "problem": None}}


def busy_day(claims_a_minute: int = 10, name: str = "Grey release", categories: tuple[str, ...] = ()) -> dict[str, Any]:
    """A campaign's last six hours, two waves: a part of the claims is refused, a third orders, more than a day ago."""
    listed = categories or tuple(f"vertical-{number}" for number in range(12))
    rows, granted = [], 0
    for minute in range(HOURS * 60):
        wave = 60 + 3 * max(0, 60 - abs(minute - 90)) + 7 * max(0, 40 - abs(minute - 240))
        asked = claims_a_minute * wave // 60
        out = asked if minute < 200 else asked // 3
        granted += out
        category, tier, at = listed[(minute * 7 + minute // 9 * minute) % len(listed)], 1 + minute % 6, 60 * minute + 7
        rows.append(row(at, count=out, category=None, city_tier=tier, value_minor=out * FACE_MINOR))
        if asked > out:
            reason = ("sold_out", "not_released", "per_user_limit", "channel_quota")[minute % 4]
            rows.append(row(at, "voucher.rejected", asked - out, reason=reason, city_tier=tier))
        rows.append(row(at, "order.reserved", max(1, out // 3), category=category, city_tier=tier, high_ticket=1))
        rows.append(row(at, "payment.settled", max(1, out // 4), category=category, city_tier=tier))
        rows.append(row(at - DAY_SECONDS, "order.reserved", max(1, out // 5), category=category, city_tier=tier))
    rows += [
        row(5_000, "voucher.expired", granted // 50), row(5_100, "voucher.granted", 40, reason="duplicate"),
        row(6_000, "order.rejected", 17, reason="voucher_not_granted"), row(7_000, "payment.refunded", 9),
        row(7_100, "order.cancelled", 31), row(7_200, "payment.rejected", 3, reason="no_such_order"),
    ]  # fmt: skip
    quota = granted * 5 // 4
    left = quota - granted + granted // 50
    held = facts(
        name=name, quota=quota, cards_left=left, cards_out=quota - left, budget_minor=quota * FACE_MINOR,
        budget_left_minor=left * FACE_MINOR, starts_at=START - DAY_SECONDS,
    )  # fmt: skip
    crossing = {"users": {"1": 812, "2": 133, "3+": 21}, "pairs": [], "at": 0.0, "problem": None}
    firing = [{"alert": "ends_before_plan"}, {"alert": "budget"}]
    return state_of(*rows, facts=held, crossing=crossing, alerts=firing)

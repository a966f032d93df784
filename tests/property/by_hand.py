"""Commands told by hand, and the few figures that all stories share."""

from typing import Any

from tests.property.deciding import Step
from voucher_ledger.core.clock import rfc3339

START_MS = 1_770_307_200_000
HOUR_S = 3_600
HOLD_S, TTL_S, OPEN_S = HOUR_S, 4 * HOUR_S, 24 * HOUR_S
FACE_MINOR = 1_000


def step(partition: int, room: str, command: dict[str, Any], *, offset: int = 0, at_ms: int = START_MS) -> Step:
    """A step told by hand."""
    return Step(room, partition, offset, at_ms, command)


def campaign_open(**changes: Any) -> dict[str, Any]:
    """`spring-1`: one free order, one a user."""
    data = {
        "campaign_id": "spring-1", "name": "Spring", "currency": "CNY", "quota": 1, "budget_minor": FACE_MINOR,
        "voucher": {"kind": "free_order", "face_value_minor": FACE_MINOR}, "starts_at": rfc3339(START_MS),
        "ends_at": rfc3339(START_MS + OPEN_S * 1_000), "per_user_limit": 1, "voucher_ttl_s": TTL_S,
        "hold_ttl_s": HOLD_S,
    }  # fmt: skip
    return envelope("campaign.open", "open-1", {**data, **changes})


def claim(command_id: str, user_id: str = "u-1", **more: Any) -> dict[str, Any]:
    """A claim of `spring-1`."""
    return envelope("voucher.claim", command_id, {"campaign_id": "spring-1", "user_id": user_id, **more})


def expire(user_id: str, voucher_id: str) -> dict[str, Any]:
    """The end of a voucher of `spring-1`."""
    data = {"campaign_id": "spring-1", "user_id": user_id, "voucher_id": voucher_id}
    return envelope("voucher.expire", f"expire-{voucher_id}", data)


def envelope(type_: str, command_id: str, data: dict[str, Any], at_ms: int = START_MS) -> dict[str, Any]:
    """A command in its envelope, said at `at_ms`."""
    return {
        "specversion": "1.0", "id": command_id, "source": "test", "type": type_, "time": rfc3339(at_ms), "data": data,
    }  # fmt: skip

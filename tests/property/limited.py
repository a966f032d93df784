"""Claims on a campaign that limits them, of so few devices and channels that they meet."""

from typing import Any

from hypothesis import strategies as st

from tests.property.by_hand import FACE_MINOR, START_MS, campaign_open, claim, step
from tests.property.deciding import PARTITIONS, Ledger, Step

QUOTA = 1_000
# By the campaign's clock all begins a minute before midnight.
DAY_OFFSET_MINUTES = 479
MIDNIGHT_MS = START_MS + 60_000

# All that JSON and SQL give a meaning to.
KIOSK = "{ki\"os'k}, \\n%s"

Bound = tuple[tuple[object, ...], int, str | None]
"""What is counted, how many there may be, and what a refusal tells."""


def open_limited(ledger: Ledger, limits: dict[str, Any]) -> None:
    """Empty books, and `spring-1` with more vouchers than anyone asks for, so that limits alone refuse."""
    changes = {"quota": QUOTA, "budget_minor": QUOTA * FACE_MINOR, "per_user_limit": 9, "limits": limits}
    ledger.begin().decide([step(0, "campaigns", campaign_open(**changes))])


@st.composite
def limits(draw: st.DrawFn) -> dict[str, Any]:
    """Limits that a few claims reach."""
    found: dict[str, Any] = {"day_utc_offset_minutes": DAY_OFFSET_MINUTES}
    if draw(st.booleans()):
        found["per_user_day"] = draw(st.integers(1, 2))
    if draw(st.booleans()):
        found["per_device"] = draw(st.integers(1, 4))
    if draw(st.booleans()):
        found["channel_quotas"] = {"app": draw(st.integers(0, 6)), KIOSK: draw(st.integers(1, 3))}
    return found


@st.composite
def claims(draw: st.DrawFn, *, users: int) -> list[Step]:
    """Claims by any partition; devices and channels are so few that they meet, and some name neither."""
    offsets = [0] * PARTITIONS
    now_ms = START_MS
    steps = []
    for number in range(draw(st.integers(1, 30))):
        partition = draw(st.integers(0, PARTITIONS - 1))
        now_ms += draw(st.sampled_from((0, 1, 9_000, MIDNIGHT_MS - START_MS - 1)))
        named = {"device_id": draw(st.sampled_from(("d-1", "d-2", "d-3", None))),
                 "channel": draw(st.sampled_from(("app", KIOSK, "web", None)))}  # fmt: skip
        said = claim(f"c-{number}", f"u-{number % users}", **{name: value for name, value in named.items() if value})
        steps.append(step(partition, "claims", said, offset=offsets[partition], at_ms=now_ms))
        offsets[partition] += 1
    return steps


def bounds_of(claimed: Step, limited: dict[str, Any]) -> list[Bound]:
    """What bounds a claim, in the order in which it is asked."""
    data = claimed.command["data"]
    user_id, channel = data["user_id"], data.get("channel")
    found: list[Bound] = [(("user", user_id), 9, None)]
    if "per_user_day" in limited:
        most = limited["per_user_day"]
        found.append((("day", user_id, claimed.time_ms >= MIDNIGHT_MS), most, f"{most} a day"))
    if "per_device" in limited and "device_id" in data:
        found.append((("device", data["device_id"]), limited["per_device"], "device"))
    if channel in limited.get("channel_quotas", ()):
        most = limited["channel_quotas"][channel]
        found.append((("channel", channel), most, f"channel {channel}: {most}"))
    return found

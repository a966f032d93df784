"""The commands of the campaign's day that nobody has to be waited for: openings, claims, rubbish. Pure and seeded."""

import heapq
import math
from collections.abc import Iterator
from random import Random

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.produce.records import TimedCommand
from voucher_ledger.simulate.catalogue import ALLOWED_CATEGORIES, tier_at
from voucher_ledger.simulate.rubbish import rubbish
from voucher_ledger.simulate.scenario import (
    CHANNELS,
    HOUR_MS,
    MINUTE_MS,
    Scenario,
    command,
    command_prefix,
)

CAMPAIGN_TOPIC = "campaign.commands"
CLAIM_TOPIC = "claim.commands"
APPROVED_BY = "simulation"

# One claim in so many goes to a campaign that refuses it: not opened yet, paused, closed, out of budget, unknown.
_ASTRAY_EVERY = 250
# Of 1000 new claimants: so many send the same command again, ask for a second voucher, change what they had asked for.
_IMPATIENT, _GREEDY, _FICKLE = 100, 60, 20
# How many other claims come, on average, before somebody asks again; and how many may be about to.
_PATIENCE_CLAIMS = 1_500
_AGAIN_MAX = 20_000

# Campaigns beside the real one, by what they are there to answer.
ASTRAY = ("tomorrow", "paused", "closed", "poor", "nowhere")


def opening_id(scenario: Scenario, seed: int) -> str:
    """The id of the command that opens the campaign itself."""
    return f"{command_prefix(scenario, seed)}open"


def opening(scenario: Scenario, seed: int) -> Iterator[TimedCommand]:
    """Open the campaign and those beside it. They must be decided before the claims are sent: another room does."""
    prefix = command_prefix(scenario, seed)
    begin_ms = scenario.begin_ms - MINUTE_MS
    kept_back = scenario.cards - scenario.opening_cards
    paced = _paced(scenario)
    first = _open(scenario, opening_id(scenario, seed), "", scenario.opening_cards, begin_ms, **paced)
    yield first
    yield first
    yield _change(
        scenario,
        prefix,
        "top_up",
        "",
        {"quota": kept_back, "budget_minor": kept_back * scenario.face_value_minor, "reason": "the rest of the cards"},
    )
    yield _open(scenario, f"{prefix}open-again", "", scenario.cards, begin_ms)
    yield _open(scenario, f"{prefix}open-tomorrow", "-tomorrow", 100, scenario.begin_ms + 24 * HOUR_MS)
    for name in ("paused", "closed"):
        yield _open(scenario, f"{prefix}open-{name}", f"-{name}", 100, begin_ms)
    yield _change(scenario, prefix, "pause", "-paused", {"reason": "checking"})
    yield _change(scenario, prefix, "close", "-closed", {"reason": "cancelled"})
    yield _change(scenario, prefix, "resume", "-closed", {"reason": "too late"})
    yield _open(scenario, f"{prefix}open-poor", "-poor", 100, begin_ms, budget_minor=3 * scenario.face_value_minor)
    yield _change(scenario, prefix, "top_up", "-nowhere", {"quota": 1, "budget_minor": 0, "reason": "a typing error"})


def _paced(scenario: Scenario) -> dict[str, object]:
    """What the opening of the campaign itself says of its tranches and its waiting room, if it has any.

    The tranches are as large as what is claimable from the start, the top-up left out.
    """
    paced: dict[str, object] = {} if scenario.when_empty == "reject" else {"when_empty": scenario.when_empty}
    if scenario.release_s:
        quota = scenario.opening_cards // (len(scenario.release_s) + 1)
        times_ms = [scenario.begin_ms + second * 1_000 for second in scenario.release_s]
        paced["release"] = [{"at": rfc3339(at_ms), "quota": quota} for at_ms in times_ms]
    return paced


def _open(
    scenario: Scenario, command_id: str, suffix: str, quota: int, starts_ms: int, **change: object
) -> TimedCommand:
    campaign_id = f"{scenario.campaign_id}{suffix}"
    data: dict[str, object] = {
        "campaign_id": campaign_id,
        "name": f"Free order, {campaign_id}",
        "currency": scenario.currency,
        "quota": quota,
        "budget_minor": quota * scenario.face_value_minor,
        "voucher": {
            "kind": "free_order",
            "face_value_minor": scenario.face_value_minor,
            "min_spend_minor": scenario.min_spend_minor,
        },
        "starts_at": rfc3339(starts_ms),
        "ends_at": rfc3339(starts_ms + MINUTE_MS + 6 * HOUR_MS),
        "per_user_limit": 1,
        "voucher_ttl_s": scenario.voucher_ttl_s,
        "hold_ttl_s": scenario.hold_ttl_s,
        "categories": ALLOWED_CATEGORIES,
        "category_budgets_minor": scenario.category_budgets_minor,
        **change,
    }
    return command(CAMPAIGN_TOPIC, "campaign.open", command_id, scenario.begin_ms - MINUTE_MS, campaign_id, data)


def _change(scenario: Scenario, prefix: str, what: str, suffix: str, data: dict[str, object]) -> TimedCommand:
    campaign_id = f"{scenario.campaign_id}{suffix}"
    whole: dict[str, object] = {"campaign_id": campaign_id, "approved_by": APPROVED_BY, **data}
    time_ms = scenario.begin_ms - MINUTE_MS
    return command(CAMPAIGN_TOPIC, f"campaign.{what}", f"{prefix}{what}{suffix}", time_ms, campaign_id, whole)


def arrival_ms(scenario: Scenario, index: int) -> int:
    """When claim `index` comes: densest at first, thinning out exponentially, the last at the end of the day."""
    reached = (index + 0.5) / scenario.claims * -math.expm1(-scenario.day_s / scenario.hot_s)
    return scenario.begin_ms + int(-scenario.hot_s * 1_000 * math.log1p(-reached))


def claims(scenario: Scenario, seed: int) -> Iterator[TimedCommand]:
    """Yield `scenario.claims` claims in the order of their times, and rubbish among them."""
    draw = Random(seed)
    chaos = Random(seed + 1)
    prefix = command_prefix(scenario, seed)
    again: list[tuple[int, int, TimedCommand]] = []
    made_rubbish = 0
    for index in range(scenario.claims):
        time_ms = arrival_ms(scenario, index)
        if again and again[0][0] <= index:
            yield heapq.heappop(again)[2]._replace(time_ms=time_ms)
        else:
            first = _claim(scenario, draw, f"{prefix}{index}", f"u-{index:08d}", time_ms, index)
            yield first
            retry = _retry(scenario, draw, prefix, first, index)
            if retry is not None and len(again) < _AGAIN_MAX:
                due = index + 1 + int(draw.expovariate(1 / _PATIENCE_CLAIMS))
                heapq.heappush(again, (due, index, retry))
        if index % scenario.rubbish_every == scenario.rubbish_every - 1:
            yield rubbish(made_rubbish, chaos, time_ms)
            made_rubbish += 1


def _claim(
    scenario: Scenario, draw: Random, command_id: str, user_id: str, time_ms: int, index: int | None
) -> TimedCommand:
    campaign_id = scenario.campaign_id
    if index is not None and index % _ASTRAY_EVERY == _ASTRAY_EVERY - 1:
        campaign_id = f"{campaign_id}-{ASTRAY[index // _ASTRAY_EVERY % len(ASTRAY)]}"
    data: dict[str, object] = {
        "campaign_id": campaign_id,
        "user_id": user_id,
        "city_tier": tier_at(scenario.wave, draw.random()),
        "channel": CHANNELS[int(draw.random() * 3)],
    }
    return command(CLAIM_TOPIC, "voucher.claim", command_id, time_ms, user_id, data)


def _retry(scenario: Scenario, draw: Random, prefix: str, first: TimedCommand, index: int) -> TimedCommand | None:
    """What the claimant of `first` sends later, if anything."""
    mood = int(draw.random() * 1_000)
    if mood < _IMPATIENT:
        return first
    user_id = f"u-{index:08d}"
    if mood < _IMPATIENT + _GREEDY:
        return _claim(scenario, draw, f"{prefix}{index}-more", user_id, first.time_ms, None)
    if mood < _IMPATIENT + _GREEDY + _FICKLE:
        # The tier is drawn anew until it differs, so that it's the same command with other content.
        while (other := _claim(scenario, draw, f"{prefix}{index}", user_id, first.time_ms, None)).value == first.value:
            pass
        return other
    return None


def commands(scenario: Scenario, seed: int) -> Iterator[TimedCommand]:
    """The openings and then the claims: all of the day that does not depend on an answer."""
    yield from opening(scenario, seed)
    yield from claims(scenario, seed)

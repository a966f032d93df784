"""How long a forecast was alarming before this monitor first judged it, from demand that it recovered. Pure.

What a forecast was held for is remembered by the process alone: one that is started again in the rush would wait anew,
and warn when all is gone. The trend of a minute ago is in the buckets, so it can be judged as it was then.
"""

from collections.abc import Mapping
from dataclasses import replace

from voucher_ledger.monitor import outlook
from voucher_ledger.monitor.alerts import PENDING_SECONDS, SEVERITIES, Key, Standing, conditions
from voucher_ledger.monitor.facts import Facts
from voucher_ledger.monitor.forecast import net_per_second
from voucher_ledger.monitor.outlook import Buckets, Outlook

ALERT = "ends_before_plan"
# Each is a look of its own, all of them in the first round after a start; a trend moves by windows of ten seconds.
STEP_SECONDS = 5


def held_before(one: Outlook, buckets: Buckets, standing: Mapping[Key, Standing]) -> dict[Key, float]:
    """Seconds for which what holds now held without a break until now, at most as long as it has to be held.

    Of an alert that was told already it is for how long it held in the severity that it has now.
    """
    open_levels: dict[Key, int] = {}
    for condition in conditions(one):
        if condition.key.alert == ALERT and not condition.is_certain:
            stands = standing.get(condition.key)
            is_told = stands is not None and stands.told
            open_levels[condition.key] = SEVERITIES.index(condition.severity) if is_told else 0
    held = dict.fromkeys(open_levels, 0.0)
    for seconds in range(STEP_SECONDS, int(PENDING_SECONDS[ALERT]) + 1, STEP_SECONDS):
        if one.facts is None or not open_levels:
            break
        then = one.as_of - seconds
        before = outlook.look(one.campaign_id, buckets, facts_at(then, one.as_of, one.facts, buckets), then, None)
        levels = {found.key: SEVERITIES.index(found.severity) for found in conditions(before)}
        open_levels = {key: level for key, level in open_levels.items() if levels.get(key, -1) >= level}
        held |= dict.fromkeys(open_levels, float(seconds))
    return held


def facts_at(then: int, now: int, facts: Facts, buckets: Buckets) -> Facts:
    """The facts of `now` as they were `then`: what was granted since, less what came back, was still left.

    A top-up since then counts as if it had been there: it makes the forecast of then milder, never more alarming.
    """
    minutes = buckets.get("minute", {})
    net = sum(net_per_second(minutes, then, now))
    return replace(
        facts,
        cards_left=max(0, facts.cards_left + net),
        cards_out=max(0, facts.cards_out - net),
        budget_left_minor=max(0, facts.budget_left_minor + net * facts.face_value_minor),
    )

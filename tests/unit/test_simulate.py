"""The campaign's day is the same for the same seed, and every kind of user and rubbish is in it."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import orjson
import pytest

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC
from voucher_ledger.core.validation import CommandDecoder, Undecidable
from voucher_ledger.produce.records import TimedCommand
from voucher_ledger.simulate.plan import ASTRAY, arrival_ms, claims, commands, opening
from voucher_ledger.simulate.rubbish import KINDS, rubbish
from voucher_ledger.simulate.scenario import HOUR_MS, Scenario

BEGIN_MS = 1_770_307_200_000
DAY = Scenario(begin_ms=BEGIN_MS, claims=20_000, cards=2_000)
DECODERS: dict[str, CommandDecoder] = {topic: CommandDecoder(topic) for topic in COMMANDS_BY_TOPIC}
SEED = 7


def decoded(command: TimedCommand) -> dict[str, Any] | None:
    try:
        found = DECODERS[command.topic].decode(command.value, command.key)
    except Undecidable:
        return None
    return {"type": found.type, "id": found.id, "data": found.data}


def test_the_same_seed_makes_the_same_day_and_another_seed_another() -> None:
    first = list(commands(DAY, SEED))
    assert list(commands(DAY, SEED)) == first
    assert list(commands(DAY, SEED + 1)) != first


def test_a_day_has_the_claims_asked_for_and_rubbish_at_its_rate() -> None:
    day = list(claims(DAY, SEED))
    decidable = [command for command in day if decoded(command) is not None]
    assert len(decidable) == DAY.claims
    assert len(day) - len(decidable) == DAY.claims // DAY.rubbish_every


def test_claims_come_in_order_and_most_in_the_hot_minutes() -> None:
    times = [command.time_ms for command in claims(DAY, SEED)]
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert times[0] >= BEGIN_MS
    assert times[-1] <= BEGIN_MS + 6 * HOUR_MS
    hot = sum(time_ms < BEGIN_MS + DAY.hot_s * 1_000 for time_ms in times)
    assert hot > 0.6 * len(times)


def test_the_last_claim_comes_within_the_day() -> None:
    short = replace(DAY, day_s=60, hot_s=600)
    assert arrival_ms(short, short.claims - 1) <= BEGIN_MS + 60_000


def test_users_repeat_change_and_multiply_their_claims() -> None:
    by_id: dict[str, set[str]] = {}
    ids_by_user: dict[str, set[str]] = {}
    times_sent: Counter[str] = Counter()
    for command in claims(DAY, SEED):
        found = decoded(command)
        if found is not None:
            by_id.setdefault(found["id"], set()).add(orjson.dumps(found["data"]).decode())
            ids_by_user.setdefault(found["data"]["user_id"], set()).add(found["id"])
            times_sent[found["id"]] += 1
    repeated = sum(times_sent[name] > 1 and len(contents) == 1 for name, contents in by_id.items())
    changed = sum(len(contents) > 1 for contents in by_id.values())
    greedy = sum(len(names) > 1 for names in ids_by_user.values())
    assert repeated > 0.05 * DAY.claims
    assert changed > 0.005 * DAY.claims
    assert greedy > 0.02 * DAY.claims
    assert len(ids_by_user) > 5 * DAY.cards


def test_some_claims_go_to_campaigns_that_refuse_them() -> None:
    campaigns = {found["data"]["campaign_id"] for command in claims(DAY, SEED) if (found := decoded(command))}
    assert campaigns == {DAY.campaign_id, *(f"{DAY.campaign_id}-{name}" for name in ASTRAY)}


def test_the_openings_are_decidable_and_add_up_to_the_cards() -> None:
    found = [decoded(command) for command in opening(DAY, SEED)]
    own = {
        item["id"]: item["data"]
        for item in found
        if item is not None and item["data"]["campaign_id"] == DAY.campaign_id and not item["id"].endswith("open-again")
    }
    assert None not in found
    assert sum(data["quota"] for data in own.values()) == DAY.cards
    assert sum(data["budget_minor"] for data in own.values()) == DAY.cards * DAY.face_value_minor


@pytest.mark.parametrize("name", list(KINDS))
@pytest.mark.parametrize("topic", list(COMMANDS_BY_TOPIC))
def test_every_kind_of_rubbish_is_undecidable_on_every_topic(name: str, topic: str) -> None:
    for seed in range(20):
        key, value = KINDS[name](topic, Random(seed), BEGIN_MS)
        with pytest.raises(Undecidable):
            DECODERS[topic].decode(value, key)


def test_rubbish_goes_through_all_kinds_and_fits_into_the_topics() -> None:
    made = [rubbish(number, Random(1), BEGIN_MS) for number in range(11 * len(KINDS))]
    assert {command.topic for command in made} == set(COMMANDS_BY_TOPIC)
    sizes = sorted(len(command.value or b"") + len(command.key or b"") for command in made)
    assert sizes[-1] > 900_000
    assert sizes[-1] < 1_000_000
    assert sizes[-3] < 100_000


@pytest.mark.parametrize(
    "change", [{"cards": 0}, {"claims": 0}, {"hold_ttl_s": 0}, {"day_s": 7 * 3_600}, {"campaign_id": "x" * 65}]
)
def test_a_senseless_scenario_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(DAY, **change)

"""Paced release against a count by hand, and with partitions that lag behind one another over a tranche."""

from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.by_hand import FACE_MINOR, START_MS, campaign_open, claim, step
from tests.property.deciding import Ledger, Step
from tests.property.test_one_decider import STEADY
from voucher_ledger.core.clock import rfc3339

pytestmark = pytest.mark.integration

PARTITIONS = 3
CLAIMS_MAX = 24


class Paced(NamedTuple):
    """A campaign's opening and claims of as many users, in batches."""

    opening: dict[str, Any]
    tranches: list[tuple[int, int]]
    batches: list[list[Step]]


@st.composite
def paced(draw: st.DrawFn, *, lagging: bool) -> Paced:
    """Claims over three tranches; with `lagging` each partition has a clock of its own, else all share one."""
    # The large ones leave more in a lease than its batch needs, and so to a partition that lags.
    tranches = [
        (START_MS + at * 10, draw(st.sampled_from((1, 2, 3, 60)))) for at in sorted(draw(st.sets(st.integers(1, 6))))
    ][:3]
    at_once = draw(st.integers(0, 3))
    quota = at_once + sum(quota for _, quota in tranches)
    release = [{"at": rfc3339(at_ms), "quota": share} for at_ms, share in draw(st.permutations(tranches))]
    changes = {
        "quota": max(quota, 1),
        "budget_minor": max(quota, 1) * FACE_MINOR,
        **({"release": release} if release else {}),
    }
    if draw(st.booleans()):
        changes["overspend"] = "honour"
    clocks = [START_MS] * PARTITIONS
    offsets = [0] * PARTITIONS
    steps: list[Step] = []
    for number in range(draw(st.integers(1, CLAIMS_MAX))):
        partition = draw(st.integers(0, PARTITIONS - 1))
        clock = partition if lagging else 0
        clocks[clock] += draw(st.sampled_from((0, 0, 1, 5, 10, 30)))
        said = claim(f"c-{number}", f"u-{number}")
        steps.append(step(partition, "claims", said, offset=offsets[partition], at_ms=clocks[clock]))
        offsets[partition] += 1
    batches = []
    while steps:
        size = draw(st.integers(1, len(steps)))
        batches.append(steps[:size])
        steps = steps[size:]
    return Paced(campaign_open(**changes), tranches, batches)


def play(ledger: Ledger, story: Paced) -> list[tuple[Step, dict[str, Any]]]:
    """Each claim with its answer."""
    ledger.begin()
    ledger.decide([step(0, "campaigns", story.opening)])
    answered = []
    for batch in story.batches:
        answers = [orjson.loads(event) for event in ledger.decide(batch)]
        answered += list(zip(batch, answers, strict=True))
    return answered


@given(story=paced(lagging=False))
@settings(STEADY, max_examples=60)
def test_each_claim_gets_what_a_count_by_hand_gives_it(ledger: Ledger, story: Paced) -> None:
    quota = story.opening["data"]["quota"]
    granted = 0
    for claimed, answer in play(ledger, story):
        later = [(at_ms, share) for at_ms, share in story.tranches if at_ms > claimed.time_ms]
        if granted < quota - sum(share for _, share in later):
            assert answer["type"] == "voucher.granted"
            granted += 1
        elif later:
            assert answer["data"]["reason"] == "not_released"
            assert answer["data"]["next_release_at"] == rfc3339(later[0][0])
        elif story.opening["data"].get("overspend") == "honour":
            assert answer["type"] == "voucher.granted"
        else:
            assert answer["data"]["reason"] == "sold_out"
    assert ledger.faults() == []


@given(story=paced(lagging=True))
@settings(STEADY, max_examples=60)
def test_a_lagging_partition_never_grants_from_a_tranche_to_come(ledger: Ledger, story: Paced) -> None:
    answered = play(ledger, story)
    quota = story.opening["data"]["quota"]
    for at_ms, _ in story.tranches:
        unreleased = sum(share for later_ms, share in story.tranches if later_ms >= at_ms)
        early = [
            answer for claimed, answer in answered if claimed.time_ms < at_ms and answer["type"] == "voucher.granted"
        ]
        assert len(early) <= quota - unreleased
    assert ledger.faults() == []


def test_what_another_drew_of_the_next_tranche_is_not_granted_before_it(ledger: Ledger) -> None:
    at_ms = START_MS + 10
    opening = campaign_open(quota=62, budget_minor=62 * FACE_MINOR, release=[{"at": rfc3339(at_ms), "quota": 60}])
    ahead = [step(0, "claims", claim("c-0", "u-0"), at_ms=at_ms)]
    behind = [step(1, "claims", claim(f"c-{n}", f"u-{n}"), offset=n) for n in range(1, 4)]
    answers = [answer for _, answer in play(ledger, Paced(opening, [(at_ms, 60)], [ahead, behind]))]
    assert [answer["type"] for answer in answers] == [*["voucher.granted"] * 2, *["voucher.rejected"] * 2]
    assert {answer["data"].get("reason") for answer in answers} == {None, "not_released"}
    assert ledger.faults() == []

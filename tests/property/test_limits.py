"""Limits by day, by device and by channel against a count by hand, with one decider at a time."""

from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.by_hand import FACE_MINOR, campaign_open, claim, envelope, step
from tests.property.deciding import Ledger, Step, item_of
from tests.property.limited import bounds_of, claims, limits, open_limited
from tests.property.test_one_decider import STEADY
from voucher_ledger.core.records import Command
from voucher_ledger.ledger import limit_counts
from voucher_ledger.ledger.model import LimitKey

pytestmark = pytest.mark.integration


@given(limited=limits(), told=claims(users=3), size=st.integers(1, 12))
@settings(STEADY, max_examples=30)
def test_each_claim_gets_what_a_count_by_hand_gives_it(
    ledger: Ledger, limited: dict[str, Any], told: list[Step], size: int
) -> None:
    open_limited(ledger, limited)
    events = ledger.play([told[start : start + size] for start in range(0, len(told), size)])
    counts: Counter[tuple[object, ...]] = Counter()
    for claimed, answer in zip(told, map(orjson.loads, events), strict=True):
        bounds = bounds_of(claimed, limited)
        passed = [detail for counted, most, detail in bounds if counts[counted] >= most]
        if passed:
            assert answer["type"] == "voucher.rejected"
            assert (answer["data"]["reason"], answer["data"].get("detail")) == ("user_limit", passed[0])
        else:
            assert answer["type"] == "voucher.granted"
            counts.update(counted for counted, _, _ in bounds)
    assert ledger.faults() == []


def test_a_campaign_without_limits_asks_for_no_counts(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    open_limited(ledger, {})
    monkeypatch.setattr(limit_counts, "_LOAD", "counts were asked for")
    monkeypatch.setattr(limit_counts, "_ADD", "counts were written")
    (event,) = map(orjson.loads, ledger.decide([step(0, "claims", claim("c-0", channel="app", device_id="d-1"))]))
    assert event["type"] == "voucher.granted"


def test_who_waits_is_bounded_by_the_device_of_the_claim_also_where_the_batch_is_decided_again(ledger: Ledger) -> None:
    key: LimitKey = ("device", "spring-1", "d-1")
    opening = campaign_open(quota=0, budget_minor=0, when_empty="queue", limits={"per_device": 1})
    waits = [step(0, "claims", claim(f"c-{n}", f"u-{n}", device_id="d-1"), offset=n) for n in (0, 1)]
    change = {"campaign_id": "spring-1", "approved_by": "finance", "reason": "more", "quota": 2}
    top_up = envelope("campaign.top_up", "top-1", {**change, "budget_minor": 2 * FACE_MINOR})
    ledger.begin().play([[step(0, "campaigns", opening)], waits, [step(0, "campaigns", top_up, offset=1)]])
    turns = [
        step(0, "claims", envelope("voucher.admit", f"a-{n}", {
            "campaign_id": "spring-1", "user_id": f"u-{n}", "claim_id": f"c-{n}"}), offset=2 + n)
        for n in (0, 1)
    ]  # fmt: skip
    processor = ledger.processors["claims"]
    command = item_of(turns[0])
    assert isinstance(command, Command)
    with processor.connection.transaction(force_rollback=True):
        assert processor.room.prepare(processor.connection, [command], lock=True).limit_counts == {key: 0}
    granted, refused = map(orjson.loads, ledger.decide(turns))
    assert (granted["type"], granted["data"]["device_id"]) == ("voucher.granted", "d-1")
    assert (refused["data"]["reason"], refused["data"]["detail"]) == ("user_limit", "device")
    assert limit_counts.load(ledger.connection, [key]) == {key: 1}
    assert ledger.faults() == []

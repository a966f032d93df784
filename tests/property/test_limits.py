"""Limits by day, by device and by channel against a count by hand, with one decider at a time."""

from collections import Counter
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.by_hand import claim, step
from tests.property.deciding import Ledger, Step
from tests.property.limited import bounds_of, claims, limits, open_limited
from tests.property.test_one_decider import STEADY
from voucher_ledger.ledger import limit_counts

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

"""Whatever a batch puts into the outbox comes out again byte for byte: it is what a crash is recovered from."""

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.property.deciding import Ledger
from voucher_ledger.runtime.outbox import DeadLetter, Outbox, Share

pytestmark = pytest.mark.integration

TOPIC, KEY_FIELD = "claim.commands", "user_id"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
letters = st.builds(
    DeadLetter,
    partition=st.just(0),
    offset=st.integers(0, 2**63 - 1),
    key=st.none() | st.binary(max_size=200),
    value=st.none() | st.binary(max_size=2_000),
    headers=st.lists(st.tuples(texts, st.none() | st.binary(max_size=50)), max_size=4),
    error=texts,
)


@st.composite
def shares(draw: st.DrawFn) -> list[Share]:
    """One to three batches of a partition, one after the other."""
    made: list[Share] = []
    first = draw(st.integers(0, 2**62))
    for _ in range(draw(st.integers(1, 3))):
        share = Share(0, first, first + draw(st.integers(1, 1_000)), dead_letters=draw(st.lists(letters, max_size=3)))
        for place, data in enumerate(draw(st.lists(st.dictionaries(texts, json_values, max_size=4), max_size=6))):
            owner, event_id = draw(texts), f"{TOPIC}/0/{first + place}/0"
            share.events.append(orjson.dumps({"id": event_id, "data": {**data, KEY_FIELD: owner}}))
            share.keys.append(owner.encode())
        made.append(share)
        first = share.next_offset
    return made


@given(told=shares())
@settings(deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
def test_shares_come_out_as_they_went_in(ledger: Ledger, told: list[Share]) -> None:
    connection = ledger.begin().connection
    Outbox(TOPIC, KEY_FIELD).insert(connection, told)
    outbox = Outbox(TOPIC, KEY_FIELD)
    assert outbox.after(connection, 0, -1) == told
    assert outbox.after(connection, 0, told[0].next_offset) == told[1:]
    assert outbox.after(connection, 0, told[0].next_offset - 1) == told
    assert outbox.after(connection, 1, -1) == []
    outbox.prune(connection, {0: told[0].next_offset, 1: 2**62})
    assert outbox.after(connection, 0, -1) == told[1:]

"""Demand in buckets: what is counted, what is passed over, what is dropped."""

import orjson
import pytest

from tests.unit.demand_given import START, demand, kept_after, record, row
from voucher_ledger.core.demand import OTHER, Tally
from voucher_ledger.core.records import Event
from voucher_ledger.monitor import store as store_module
from voucher_ledger.monitor.buckets import KEPT, NAMES_MAX, SECONDS_KEPT_MINUTES, SUM_MAX, count_of, empty, merged
from voucher_ledger.monitor.demand import ROWS_MAX, MalformedDemand, decode
from voucher_ledger.monitor.store import Store, key_of, place_of
from voucher_ledger.monitor.windows import per_second


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b"{",
        orjson.dumps({}),
        record([row(0, count=-1)], 1),
        record([row(0, count=True)], 1),
        record([{**row(0), "at": 300_000_000_000}], 1),
        record([{**row(0), "type": ""}], 1),
        record([{**row(0), "category": "x" * 129}], 1),
        record([{"at": 0}], 1),
        record([], 1, campaign_id=None),
        record([row(0)], 1).replace(b'"next_offset":1', b'"next_offset":"1"'),
        record([row(0)] * (ROWS_MAX + 1), 1),
    ],
)
def test_what_is_no_rollup_is_told(value: bytes | None) -> None:
    with pytest.raises(MalformedDemand):
        decode(value)


def test_a_newer_processors_fields_are_passed_over() -> None:
    assert decode(record([{**row(0), "new": 1}], 1, new=[1])) == demand([row(0)])


def test_a_row_is_counted_by_type_reason_category_tier_and_second() -> None:
    kept = kept_after(
        row(3, "order.reserved", 2, category="film", city_tier=4, value_minor=700, high_ticket=1),
        row(63, "voucher.rejected", 5, reason="sold_out", city_tier=4),
    )
    first, second = kept["minute"][START], kept["minute"][START + 60]
    assert first["types"] == {"order.reserved": [2, 700, 1]}
    assert first["categories"] == {"order.reserved": {"film": [2, 700, 1]}}
    assert first["tiers"] == {"order.reserved": {"4": [2, 700, 1]}}
    assert first["seconds"]["order.reserved"][:5] == [0, 0, 0, 2, 0]
    assert second["reasons"] == {"voucher.rejected": {"sold_out": 5}}
    for level in ("quarter", "total"):
        assert merged([*kept[level].values()]) == merged([first, second])


def test_an_answer_given_again_is_told_and_grants_nothing() -> None:
    kept = kept_after(row(0, count=7), row(0, count=3, reason="duplicate"))
    assert count_of(kept["minute"][START], "voucher.granted") == 7
    assert kept["minute"][START]["reasons"] == {"voucher.granted": {"duplicate": 3}}


def test_sums_past_what_json_takes_are_written_and_stay_at_their_bound() -> None:
    """An order that is refused counts what it asked for: 10^15 is an amount that the schemas take."""
    store = Store()
    for partition in range(2):
        tally = Tally("order.commands", partition, 0)
        for offset in range(10_000):
            data = {
                "campaign_id": "grey", "reason": "unknown_voucher_state", "amount_minor": 10**15,
                "category": "tea", "city_tier": 1,
            }  # fmt: skip
            tally.add(offset, START * 1000, Event("order.rejected", data))
        for rollup in tally.rollups(10_000):
            store.count(0, decode(rollup.record()[1]))
    written = {key: orjson.dumps(bucket) for key, bucket in store.changes().items()}
    after = Store()
    after.load([(key, orjson.loads(value)) for key, value in written.items()])
    after.count(0, demand([row(0, "order.rejected", 5, value_minor=5 * 10**15, reason="no_such_order")], 1, "x/0"))
    kept = after.campaigns([0])["grey"]
    for level in KEPT:
        (bucket,) = kept[level].values()
        assert bucket["types"]["order.rejected"] == [20_005, SUM_MAX, 20_000]
        assert bucket["categories"]["order.rejected"] == {"tea": [20_000, SUM_MAX, 20_000]}
    both = merged([*kept["minute"].values(), *kept["quarter"].values()])
    assert both["types"]["order.rejected"] == [40_010, SUM_MAX, 40_000]
    assert orjson.loads(orjson.dumps(both)) == both


def test_counts_past_what_json_takes_stay_at_their_bound() -> None:
    """No processor counts so far, but the record can be written."""
    most = 2**64 - 1
    bucket = kept_after(*[row(0, "order.reserved", most, reason="duplicate")] * 2, *[row(0, count=most)] * 2)["minute"][
        START
    ]
    assert bucket["reasons"] == {"order.reserved": {"duplicate": SUM_MAX}}
    assert bucket["seconds"]["voucher.granted"][0] == count_of(bucket, "voucher.granted") == SUM_MAX
    assert per_second({START: bucket, START + 60: bucket}, ["voucher.granted"] * 2, START, START + 1) == [SUM_MAX]
    assert orjson.loads(orjson.dumps(merged([bucket, bucket])))["reasons"] == bucket["reasons"]


def test_names_past_the_bound_are_others() -> None:
    rows = [row(0, "order.reserved", category=f"c{number}") for number in range(NAMES_MAX + 5)]
    categories = kept_after(*rows)["minute"][START]["categories"]["order.reserved"]
    assert len(categories) == NAMES_MAX + 1
    assert categories[OTHER][0] == 5


def test_a_batch_delivered_twice_is_counted_once_and_one_half_written_is_completed() -> None:
    store = Store()
    batch = demand([row(0, count=3), row(60, count=4)], next_offset=10)
    store.count(0, batch)
    # A crash lost the second minute only: its bucket never reached the changelog.
    held = [(key, bucket) for key, bucket in store.changes().items() if bucket is not None]
    after = Store()
    after.load([(key, bucket) for key, bucket in held if f"/minute/{START + 60}/" not in key])
    after.count(0, batch)
    after.count(0, batch)
    kept = after.campaigns([0])["grey"]
    assert [count_of(kept["minute"][at], "voucher.granted") for at in (START, START + 60)] == [3, 4]
    assert count_of(kept["total"][0], "voucher.granted") == 7
    assert (after.counted.records, after.counted.redelivered) == (2, 1)


def test_minutes_are_bounded_and_old_ones_lose_their_seconds_first() -> None:
    store = Store()
    for minute in range(KEPT["minute"] + 2):
        store.count(0, demand([row(60 * minute)], next_offset=minute + 1))
    minutes = store.campaigns([0])["grey"]["minute"]
    assert len(minutes) == KEPT["minute"]
    assert min(minutes) == START + 120
    assert sum(bool(bucket["seconds"]) for bucket in minutes.values()) == SECONDS_KEPT_MINUTES
    changes = store.changes()
    assert [key for key, bucket in changes.items() if bucket is None] == [
        f"0/minute/{START}/grey", f"0/minute/{START + 60}/grey"
    ]  # fmt: skip
    store.count(0, demand([row(0, count=9)], next_offset=10_000))
    assert store.counted.late_rows == 1
    assert START not in minutes


def test_campaigns_are_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "CAMPAIGNS_MAX", 2)
    store = Store()
    for number, campaign in enumerate(["old", "new", "newest"]):
        store.count(0, decode(record([row(60 * number)], 1, campaign_id=campaign)))
    assert sorted(store.campaigns([0])) == ["new", "newest"]
    assert store.changes()["0/total/0/old"] is None
    assert store.campaigns([1]) == {}


def test_too_many_buckets_leave_the_campaign_of_the_oldest_demand_with_its_total(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store_module, "BUCKETS_MAX", 8)
    store = Store()
    for number, campaign in enumerate(["old", "new"]):
        store.count(0, decode(record([row(60 * number, count=3)], 1, campaign_id=campaign)))
    # A minute, a quarter and a total each so far.
    store.count(0, decode(record([row(120)], 2, campaign_id="new")))
    store.count(1, decode(record([row(0)], 2, campaign_id="elsewhere")))
    store.count(0, decode(record([row(180)], 3, campaign_id="new")))
    assert sorted(store.campaigns([0])["old"]["minute"]) == [START]
    store.count(0, decode(record([row(240)], 4, campaign_id="new")))
    kept = store.campaigns([0])
    assert (kept["old"]["minute"], kept["old"]["quarter"]) == ({}, {})
    assert count_of(kept["old"]["total"][0], "voucher.granted") == 3
    assert len(kept["new"]["minute"]) == 4
    changes = store.changes()
    assert [key for key, bucket in changes.items() if bucket is None] == [
        f"0/minute/{START}/old", f"0/quarter/{START}/old"
    ]  # fmt: skip
    # What was counted before is added to, and a start from the changelog counts its buckets alike.
    after = Store()
    after.load([(key, bucket) for key, bucket in changes.items() if bucket is not None])
    after.count(0, decode(record([row(300, count=2)], 2, campaign_id="old")))
    assert count_of(after.campaigns([0])["old"]["total"][0], "voucher.granted") == 5
    assert after.campaigns([0])["new"]["minute"] == {}
    assert count_of(after.campaigns([0])["new"]["total"][0], "voucher.granted") == 6


@pytest.mark.parametrize("campaign", ["grey", "a/b/c", "", "7/minute/0/x"])
def test_a_key_tells_its_bucket_again(campaign: str) -> None:
    store = Store()
    store.count(5, decode(record([row(0)], 1, campaign_id=campaign)))
    for key in store.changes():
        partition, place = place_of(key)
        assert (partition, place.campaign_id) == (5, campaign)
        assert key_of(partition, place) == key


def test_an_empty_bucket_sums_to_an_empty_one() -> None:
    assert merged([empty(), empty()]) == empty()

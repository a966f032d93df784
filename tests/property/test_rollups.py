"""Whoever publishes a batch after a crash knows it from the outbox alone, and must publish the same rollups."""

from collections import Counter

import jsonschema_rs
import orjson
import pytest
from hypothesis import given, settings

from tests.property.deciding import Ledger
from tests.property.stories import Story, stories
from tests.property.test_one_decider import STEADY
from voucher_ledger.core.demand import Tally, outcome_of
from voucher_ledger.core.schema_files import schema_root
from voucher_ledger.runtime.outbox import Outbox

pytestmark = pytest.mark.integration

SCHEMA = jsonschema_rs.Draft202012Validator(orjson.loads((schema_root() / "ledger.demand.json").read_bytes()))


@given(story=stories())
@settings(STEADY, max_examples=15)
def test_the_outbox_gives_the_rollups_that_were_decided(ledger: Ledger, story: Story) -> None:
    events = [orjson.loads(event) for event in ledger.begin().play(story)]
    counted: Counter[str] = Counter()
    value_minor: Counter[str] = Counter()
    for processor in ledger.processors.values():
        topic, outbox = processor.room.command_topic, Outbox(processor.room.command_topic, processor.room.key_field)
        for share in processor.shares:
            stored = outbox.after(ledger.connection, share.partition, share.first_offset)[0]
            tally = Tally(topic, share.partition, stored.first_offset)
            for event in stored.events:
                tally.add(*outcome_of(event))
            stored.sum_up(tally)
            assert [rollup.record() for rollup in stored.rollups] == [rollup.record() for rollup in share.rollups]
            assert stored.times_ms == share.times_ms
            assert {rollup.first_offset for rollup in share.rollups} == {share.first_offset}
            assert {rollup.next_offset for rollup in share.rollups} == {share.next_offset}
            for rollup in share.rollups:
                SCHEMA.validate(orjson.loads(rollup.record()[1]))
                for row in rollup.rows:
                    counted[row.type] += row.count
                    value_minor[row.type] += row.value_minor
    assert counted == Counter(event["type"] for event in events)
    granted = [event["data"] for event in events if event["type"] == "voucher.granted"]
    assert value_minor["voucher.granted"] == sum(
        data["face_value_minor"] for data in granted if "duplicate" not in data
    )

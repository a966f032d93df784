"""The fold of `replay verify` against what the rooms wrote: equal for any story, and unequal without any one event."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.deciding import Ledger
from tests.property.stories import Story, stories
from tests.property.test_one_decider import STEADY
from voucher_ledger.replay.answers import AnswersReport
from voucher_ledger.replay.compare import compare_all
from voucher_ledger.replay.events_aside import EventsAside
from voucher_ledger.replay.fold import is_effective
from voucher_ledger.replay.ledger_rows import snapshot
from voucher_ledger.replay.rows import TABLES
from voucher_ledger.replay.spill import Spill
from voucher_ledger.replay.verify_report import VerifyReport


def compared(ledger: Ledger, events: list[bytes], campaign_id: str | None = None) -> VerifyReport:
    """Events, in any order of the users', beside the ledger as it is."""
    report = VerifyReport(AnswersReport(), {})
    with Spill(3) as spill, snapshot(ledger.connection, campaign_id) as books:
        for table in TABLES:
            for line in books.lines(table):
                spill.add(line.partition(b"\t")[0], table.name, line)
        aside = EventsAside(spill, campaign_id)
        for value in events:
            aside.take(orjson.loads(value), value)
        compare_all(report, aside, spill, books.figures())
    return report


def faults(report: VerifyReport) -> list[object]:
    return [*report.contradictions, *((name, kind.shown) for name, kind in report.kinds.items() if kind.count)]


@given(story=stories(), data=st.data())
@settings(STEADY, max_examples=20)
def test_the_fold_of_the_events_is_the_ledger_and_no_event_can_be_spared(
    ledger: Ledger, story: Story, data: st.DataObject
) -> None:
    events = ledger.begin().play(story)
    # Users' events by any partition, read in any order: campaigns' alone keep theirs.
    of_users = [event for event in events if is_effective(orjson.loads(event))]
    others = [event for event in events if not is_effective(orjson.loads(event))]
    shuffled = others + data.draw(st.permutations(of_users))
    assert faults(compared(ledger, shuffled)) == []
    assert faults(compared(ledger, shuffled, "spring-1")) == []
    if of_users:
        shuffled.remove(data.draw(st.sampled_from(of_users)))
        assert faults(compared(ledger, shuffled)) != []

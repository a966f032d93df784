"""Rows of users that lie in different buckets in events and ledger."""

from collections.abc import Mapping

import orjson

from voucher_ledger.replay.answers import AnswersReport
from voucher_ledger.replay.compare import compare_all
from voucher_ledger.replay.events_aside import EventsAside
from voucher_ledger.replay.ledger_rows import LedgerFigures
from voucher_ledger.replay.rows import TABLES
from voucher_ledger.replay.spill import Spill
from voucher_ledger.replay.verify_report import Difference, Kind, VerifyReport

VOUCHER = next(table for table in TABLES if table.name == "voucher")


def vouchers_compared(owners: Mapping[str, str], told: int = 9) -> Kind:
    """Vouchers that the events granted to the users v-1 to v-9, beside a ledger where some have the `owners`; the
    first `told` of the events are below its positions.
    """
    report = VerifyReport(AnswersReport(), {})
    with Spill(16) as spill, Spill(16) as spill_later:
        aside, later = EventsAside(spill), EventsAside(spill_later)
        for number in range(1, 10):
            data = {
                "user_id": f"v-{number}", "voucher_id": f"voucher-{number}", "campaign_id": "c", "command_id": "d",
                "face_value_minor": 2500, "expires_at": "2026-02-07T00:00:00.000Z", "city_tier": 1, "channel": "app",
            }  # fmt: skip
            event = {
                "id": f"claim.commands/0/{number}/0", "type": "voucher.granted", "time": "2026-02-06T00:00:00.000Z",
                "data": data,
            }  # fmt: skip
            (aside if number <= told else later).take(event, orjson.dumps(event))
        for line in [line for side in (aside, later) for _, fold in side.folds() for line in VOUCHER.lines(fold)]:
            user_id, _, rest = line.decode().partition("\t")
            owner = owners.get(user_id, user_id)
            if owner:
                spill.add(owner.encode(), VOUCHER.name, f"{owner}\t{rest}".encode())
        compare_all(report, aside, spill, LedgerFigures())
    return report.kinds["voucher"]


def test_a_row_of_another_user_is_told_once_with_both() -> None:
    assert vouchers_compared({}).shown == []
    found = vouchers_compared({"v-5": "mallory"})
    assert found.shown == [Difference("voucher-5", "differs", {"user_id": ("v-5", "mallory")})]
    assert (found.compared, found.count) == (9, 1)


def test_a_row_that_is_missing_is_told_as_before() -> None:
    found = vouchers_compared({"v-5": ""})
    assert found.shown == [Difference("voucher-5", "the ledger has no such row", {})]
    assert (found.compared, found.count) == (9, 1)


def test_a_row_without_an_event_was_added_or_its_position_was_set_back() -> None:
    why = "no event below the positions tells of it: it was added, or a position was set back"
    assert vouchers_compared({}, told=8).shown == [Difference("voucher-9", why, {})]

"""Which of a user's vouchers and places in lines each is. No IO."""

from collections import Counter
from collections.abc import Iterable

from voucher_ledger.replay.clock_order import in_clock_order, stand_of
from voucher_ledger.replay.fold import EventData, Fold


def number_grants(fold: Fold, events: Iterable[EventData]) -> None:
    """A user's vouchers of a campaign count from 1, in the order of their grants; his places in its lines too."""
    counts: Counter[tuple[str, str]] = Counter()
    for event in in_clock_order((event for event in events if event["type"] == "voucher.granted"), stand_of):
        voucher = fold.vouchers[event["data"]["voucher_id"]]
        counts[voucher.campaign_id, voucher.user_id] += 1
        voucher.ordinal = counts[voucher.campaign_id, voucher.user_id]
    counts.clear()
    for place in in_clock_order(
        fold.waiting.places.values(),
        lambda place: (("claim.commands", place.partition), place.offset, place.queued_at_ms),
    ):
        counts[place.campaign_id, place.user_id] += 1
        place.ordinal = counts[place.campaign_id, place.user_id]

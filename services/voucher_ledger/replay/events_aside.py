"""Events put aside by user, to be folded bucket by bucket; those of campaigns are few and stay in memory."""

from collections.abc import Iterator

import orjson

from voucher_ledger.replay.fold import EventData, Fold, in_order, is_effective
from voucher_ledger.replay.fold_campaigns import CAMPAIGN_TYPES, FoldedCampaigns, order_of
from voucher_ledger.replay.spill import Spill

_STREAM = "events"


class EventsAside:
    """Takes each event once, within the bounds that its reader keeps; `campaign_id` bounds it to one campaign's."""

    def __init__(self, spill: Spill, campaign_id: str | None = None) -> None:
        self._spill = spill
        self._campaign_id = campaign_id
        self.of_campaigns: list[EventData] = []

    def take(self, event: EventData, value: bytes) -> None:
        """Put an event aside if it changed something; `value` is its record's.

        Raises KeyError, TypeError or AttributeError where it lacks what every such event has.
        """
        data = event["data"]
        if self._campaign_id not in (None, data.get("campaign_id")) or "duplicate" in data:
            return
        if is_effective(event):
            owner = data["user_id"].replace("\\", "\\\\").encode()  # as COPY writes it: the ledger's rows go by it too
            self._spill.add(owner, _STREAM, orjson.dumps(event) if b"\n" in value else value)
        elif event["type"] in CAMPAIGN_TYPES:
            self.of_campaigns.append(event)

    def campaigns(self) -> FoldedCampaigns:
        """The fold of the campaigns' events."""
        folded = FoldedCampaigns()
        for event in sorted(self.of_campaigns, key=order_of):
            folded.apply(event)
        return folded

    def folds(self) -> Iterator[tuple[int, Fold, list[EventData]]]:
        """Bucket by bucket: its number, the fold of its users' events, and these in the order of their types."""
        for bucket in range(self._spill.buckets):
            fold = Fold()
            events = in_order(orjson.loads(line) for line in self._spill.lines(bucket, _STREAM))
            for event in events:
                try:
                    fold.apply(event)
                except (KeyError, TypeError, ValueError) as error:
                    fold.blame(event, f"has not the fields of its type: {error!r}")
            fold.finish()
            yield bucket, fold, events

"""Events put aside by user, to be folded bucket by bucket; those of campaigns are few and stay in memory."""

from collections import Counter
from collections.abc import Iterator

import orjson

from voucher_ledger.replay.fold import TYPES, EventData, Fold, is_effective
from voucher_ledger.replay.fold_campaigns import CAMPAIGN_TYPES, FoldedCampaigns, in_order
from voucher_ledger.replay.spill import Spill


class EventsAside:
    """Takes each event once, those of a partition in their order; `campaign_id` bounds it to one campaign's."""

    def __init__(self, spill: Spill, campaign_id: str | None = None) -> None:
        self._spill = spill
        self._campaign_id = campaign_id
        self._tickets: Counter[tuple[str, str]] = Counter()
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
            if event["type"] == "voucher.queued":
                value = orjson.dumps({**event, "ticket": self._next_ticket(event)})
            self._spill.add(owner, event["type"], orjson.dumps(event) if b"\n" in value else value)
        elif event["type"] in CAMPAIGN_TYPES:
            self.of_campaigns.append(event)

    def _next_ticket(self, event: EventData) -> int:
        """Tickets count from 0 in each partition's line, and its events come in their order."""
        line = (event["data"]["campaign_id"], event["id"].split("/")[1])
        self._tickets[line] += 1
        return self._tickets[line] - 1

    def campaigns(self) -> FoldedCampaigns:
        """The fold of the campaigns' events."""
        folded = FoldedCampaigns()
        for event in in_order(self.of_campaigns):
            folded.apply(event)
        return folded

    def folds(self) -> Iterator[tuple[int, Fold]]:
        """The fold of each bucket's events, with the bucket's number."""
        for bucket in range(self._spill.buckets):
            fold = Fold()
            for event in self.events(bucket):
                try:
                    fold.apply(event)
                except (KeyError, TypeError, ValueError) as error:
                    fold.blame(event, f"has not the fields of its type: {error!r}")
            fold.finish()
            yield bucket, fold

    def events(self, bucket: int) -> Iterator[EventData]:
        """The events of a bucket's users, type after type."""
        for type_ in TYPES:
            for line in self._spill.lines(bucket, type_):
                yield orjson.loads(line)

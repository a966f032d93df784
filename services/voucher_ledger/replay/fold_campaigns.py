"""What events say of campaigns: a handful each, folded in memory. No IO."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import itemgetter

from voucher_ledger.ledger.model import Line
from voucher_ledger.replay.fold import EventData, Fold

_STATES = {"campaign.paused": "paused", "campaign.resumed": "open", "campaign.closed": "closed"}
_RANKS = {"campaign.opened": 0, "campaign.closed": 2}
CAMPAIGN_TYPES = frozenset([*_STATES, "campaign.opened", "campaign.topped_up"])

# What the events tell of balances. What a grant is paid from they don't tell: these three are told by their sum.
UNTOLD_ROLES = ("pool", "lease", "loss")


def in_order(events: Iterable[EventData]) -> list[EventData]:
    """Campaigns' events, those of each in the order in which they happened.

    They come by one partition, and in its order, whatever their times: those may go back where producers set them.
    Where producers hash keys differently they come by two, and then in the order of their times; an opening is the
    first and a closing the last all the same. So a place's latest time, and rank, so far is what it is sorted by.
    """
    latest: dict[tuple[str, int], tuple[int, str]] = {}
    keys: list[tuple[tuple[int, str], int, int, EventData]] = []
    for partition, offset, event in sorted(((*_place(event), event) for event in events), key=itemgetter(0, 1)):
        of = (event["data"]["campaign_id"], partition)
        rank, time = latest.get(of, (0, ""))
        latest[of] = (max(rank, _RANKS.get(event["type"], 1)), max(time, event["time"]))
        keys.append((latest[of], partition, offset, event))
    return [event for *_, event in sorted(keys, key=itemgetter(0, 1, 2))]


def _place(event: EventData) -> tuple[int, int]:
    _, partition, offset, _ = event["id"].split("/")
    return int(partition), int(offset)


@dataclass(slots=True)
class FoldedCampaign:
    """A campaign as its events have it, and what its vouchers and orders came to (from `add`)."""

    campaign_id: str
    command_id: str
    state: str = "open"
    quota: int = 0
    budget_minor: int = 0
    vouchers: Counter[str] = field(default_factory=Counter)
    amounts_minor: Counter[str] = field(default_factory=Counter)
    committed_minor: Counter[str] = field(default_factory=Counter)

    def balances(self) -> dict[str, tuple[int, int]]:
        """(vouchers, amount_minor) by role; `UNTOLD_ROLES` together under their names joined by `+`."""
        told = {role: (self.vouchers[role], self.amounts_minor[role]) for role in ("granted", "held", "spent")}
        rest = (
            self.quota - sum(vouchers for vouchers, _ in told.values()),
            self.budget_minor - sum(amount_minor for _, amount_minor in told.values()),
        )
        return {"funding": (-self.quota, -self.budget_minor), **told, "+".join(UNTOLD_ROLES): rest}


@dataclass(slots=True)
class FoldedCampaigns:
    """All campaigns by id; `faults` are events that contradict each other."""

    campaigns: dict[str, FoldedCampaign] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    lines: dict[tuple[str, int], Line] = field(default_factory=dict)

    def apply(self, event: EventData) -> None:
        """Take an event of CAMPAIGN_TYPES that is no duplicate; those of a campaign in order."""
        data = event["data"]
        campaign = self.campaigns.get(data["campaign_id"])
        if event["type"] == "campaign.opened":
            if campaign is not None:
                self.faults.append(f"{event['id']} ({event['type']}): {data['campaign_id']} was opened before")
                return
            campaign = FoldedCampaign(data["campaign_id"], data["command_id"])
            self.campaigns[campaign.campaign_id] = campaign
        if campaign is None:
            self.faults.append(f"{event['id']} ({event['type']}): {data['campaign_id']} was never opened")
        elif event["type"] in _STATES:
            campaign.state = _STATES[event["type"]]
        else:
            campaign.quota += data["quota"]
            campaign.budget_minor += data["budget_minor"]

    def add(self, fold: Fold) -> None:
        """Count what some users' vouchers hold, what their orders committed of a category's budget, and who waits."""
        for part in fold.waiting.lines():
            line = self.lines.setdefault((part.campaign_id, part.partition), Line(part.campaign_id, part.partition))
            line.head += part.head
            line.next_ticket += part.next_ticket
            line.admitted += part.admitted
        for voucher in fold.vouchers.values():
            campaign = self.campaigns.get(voucher.campaign_id)
            if campaign is None:
                self.faults.append(f"voucher {voucher.voucher_id}: {voucher.campaign_id} was never opened")
            elif voucher.state != "expired":
                campaign.vouchers[voucher.state] += 1
                campaign.amounts_minor[voucher.state] += voucher.face_value_minor
        for reservation in fold.reservations.values():
            if reservation.state in ("held", "settled") and reservation.campaign_id in self.campaigns:
                committed_minor = self.campaigns[reservation.campaign_id].committed_minor
                committed_minor[reservation.category] += reservation.discount_minor

"""When a demo closes its campaign.

Without a waiting room: to keep the count of granted cards exact on a slow machine. A voucher that expires goes back to
the pool, and would rightly be granted again. Vouchers live longer than a usual machine takes for all claims; where one
is slower, the campaign is closed before the first voucher comes back.

With one: to bring the play to an end. Each card that comes back admits the next who waits, as long as one does.
"""

import time
from collections.abc import Callable

from voucher_ledger.demo.watch import Watch
from voucher_ledger.produce.sender import Sender
from voucher_ledger.simulate.scenario import Scenario, command
from voucher_ledger.simulate.tally import Tally

# Time for the closing itself to be decided.
MARGIN_SECONDS = 5.0


class Closing:
    """Looks at each tally of a play; closes the campaign once, when that becomes necessary."""

    def __init__(self, scenario: Scenario, sender: Sender, watch: Watch, say: Callable[[str], None]) -> None:
        self._scenario = scenario
        self._sender = sender
        self._watch = watch
        self._say = say
        self._first_grant_seconds: float | None = None
        self._closed = False

    def look(self, tally: Tally) -> None:
        """Close the campaign where claims are still to be decided shortly before its first voucher expires."""
        if tally.granted and self._first_grant_seconds is None:
            self._first_grant_seconds = time.monotonic()
        if self._closed or self._first_grant_seconds is None:
            return
        age_seconds = time.monotonic() - self._first_grant_seconds
        claims_left = tally.phase == "claims" or self._watch.decided < tally.sent["claim.commands"]
        if claims_left and age_seconds > self._scenario.voucher_ttl_s - MARGIN_SECONDS:
            self._close()

    def _close(self) -> None:
        self._closed = True
        close(self._sender, self._scenario, "the first vouchers are about to come back")
        self._say("claims are still waiting and the first vouchers are about to expire: the campaign is closed")


class ClosingWhenOut:
    """Looks at each tally of a play with a waiting room; closes the campaign once, when the cards are out and nobody
    else comes.
    """

    def __init__(self, scenario: Scenario, sender: Sender, say: Callable[[str], None]) -> None:
        self._scenario = scenario
        self._sender = sender
        self._say = say
        self._last_tranche_seconds = scenario.begin_ms / 1_000 + max(scenario.release_s, default=0)
        self._grants_awaited: int | None = None
        self._closed = False

    def look(self, tally: Tally) -> None:
        """Close the campaign where all claims are sent, the last tranche is released, and every card is granted, those
        that had come back by then once more.
        """
        if self._closed or tally.phase == "claims" or time.time() < self._last_tranche_seconds:
            return
        if self._grants_awaited is None:
            self._grants_awaited = self._scenario.cards + tally.answers["voucher.expired"]
        if tally.granted >= self._grants_awaited:
            self._closed = True
            close(self._sender, self._scenario, "the cards are out")
            self._say(f"the cards are out and {tally.waiting:,} claimants wait: the campaign is closed")


def close(sender: Sender, scenario: Scenario, reason: str) -> None:
    """Send the command that closes the campaign."""
    campaign_id = scenario.campaign_id
    data: dict[str, object] = {"campaign_id": campaign_id, "approved_by": "demo", "reason": reason}
    now_ms = time.time_ns() // 1_000_000
    # Without the play's prefix: its tally counts only what it has sent itself.
    sender.send([command("campaign.commands", "campaign.close", "demo-close", now_ms, campaign_id, data)])

"""Keeps the count of granted cards exact on a slow machine: no expired card is granted a second time.

A voucher that expires goes back to the pool, and would rightly be granted again. Vouchers live longer than a usual
machine takes for all claims; where one is slower, the campaign is closed before the first voucher comes back.
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
        campaign_id = self._scenario.campaign_id
        data: dict[str, object] = {
            "campaign_id": campaign_id, "approved_by": "demo", "reason": "the first vouchers are about to come back",
        }  # fmt: skip
        now_ms = time.time_ns() // 1_000_000
        # Without the play's prefix: its tally counts only what it has sent itself.
        self._sender.send([command("campaign.commands", "campaign.close", "demo-close", now_ms, campaign_id, data)])
        self._say("claims are still waiting and the first vouchers are about to expire: the campaign is closed")

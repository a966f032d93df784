"""What a run of the benchmark measures, and how much of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Part = Literal["claims", "orders", "payments", "rules", "latency", "peers"]
PARTS: tuple[Part, ...] = get_args(Part)

CLAIMS_QUICK, CLAIMS_FULL = 150_000, 500_000
ROUNDS_QUICK, ROUNDS_FULL = 2, 3
LATENCY_SECONDS_QUICK, LATENCY_SECONDS_FULL = 8, 20
# Leases are drawn and statements prepared at once, but the compiler of the broker's JVM takes a third of a core for the
# first minute and a half of small transactions.
LATENCY_WARM_UP_SECONDS_QUICK, LATENCY_WARM_UP_SECONDS_FULL = 30, 90
ROW_AT_A_TIME_CLAIMS_MAX = 20_000
WARM_UP_CLAIMS_MAX = 50_000
# Out of a hundred claims in the sold-out regime, so many are granted.
SOLD_OUT_PERCENT = 1
# Beside the one hot campaign.
MANY_CAMPAIGNS = 100
WAITING_QUICK, WAITING_FULL = 100_000, 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """The choices of the command line. `only` is one part, None all; `claims` are preloaded for each measurement."""

    quick: bool
    only: Part | None
    claims: int
    rounds: int
    output: Path

    def wants(self, part: Part) -> bool:
        """Whether a part is measured."""
        return self.only in (None, part)

    @property
    def side_rounds(self) -> int:
        """Rounds of what is measured beside the main figures."""
        return 1 if self.quick else self.rounds

    @property
    def waiting(self) -> int:
        """How many wait, to be admitted."""
        return WAITING_QUICK if self.quick else WAITING_FULL

    @property
    def quota_when_sold_out(self) -> int:
        """Vouchers of the campaign that most claims come too late for."""
        return max(1, self.claims * SOLD_OUT_PERCENT // 100)

    @property
    def warm_up_claims(self) -> int:
        """Claims of the run that nobody measures: it warms the broker's and the database's caches and the JIT."""
        return min(self.claims, WARM_UP_CLAIMS_MAX)

    @property
    def latency_seconds(self) -> int:
        """How long claims are sent and measured."""
        return LATENCY_SECONDS_QUICK if self.quick else LATENCY_SECONDS_FULL

    @property
    def latency_warm_up_seconds(self) -> int:
        """How long claims are sent before that."""
        return LATENCY_WARM_UP_SECONDS_QUICK if self.quick else LATENCY_WARM_UP_SECONDS_FULL

"""A dead letter, and the marks that it may have."""

from voucher_ledger.replay.dead_letters.letters import Letter
from voucher_ledger.replay.dead_letters.marks import Mark, MarkKind

LETTER = Letter(
    partition=2, offset=7, time_ms=1_000, key=b"ana", value=b"no", headers=(), topic="claim.commands",
    cause_partition=3, cause_offset=9, error="not JSON: unexpected character at byte 0", attempts=1,
)  # fmt: skip
REDRIVEN = Mark(MarkKind.REDRIVEN, "1", "me@here", "why", 5_000, "claim.commands/3/20")
QUARANTINED = Mark(MarkKind.QUARANTINED, "1", "me@here", "why", 5_000)
RELEASED = Mark(MarkKind.RELEASED, "1", "me@here", "why", 5_000)

"""What is simulated: one campaign, its claimants, and how they behave."""

from dataclasses import dataclass
from typing import Literal
from zlib import crc32

import orjson

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.produce.records import TimedCommand
from voucher_ledger.simulate.catalogue import Wave

SOURCE = "voucher-ledger/simulate"
CHANCES = 1_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """The campaign's day, `begin_ms` (milliseconds since 1970) being the moment of its first claim.

    The campaign runs from a minute before `begin_ms` for six hours. `claims` counts the claims that are well-formed
    (repeated ones included); one record of rubbish follows each `rubbish_every` of them. Arrivals thin out with the
    time constant `hot_s` within `day_s`. With `await_expiries` a play goes on until no voucher is open any more, which
    needs the sweeper. `wave` tells what is ordered, and from where (see the catalogue). With `record_times` records
    carry simulated timestamps, which topics with CreateTime keep; on topics with LogAppendTime (the default) the
    brokers' clock decides, and a play is as fast as it can be. With `release_s` tranches come so many seconds after
    `begin_ms`; with `when_empty` of `queue` claimants wait, and with `await_expiries` a play goes on while one does.

    Raises ValueError where a figure makes no sense.
    """

    begin_ms: int
    campaign_id: str = "grey-release"
    cards: int = 50_000
    claims: int = 300_000
    face_value_minor: int = 2_500
    min_spend_minor: int = 500
    currency: str = "CNY"
    voucher_ttl_s: int = 60
    hold_ttl_s: int = 5
    day_s: int = 6 * 3_600
    hot_s: int = 8 * 60
    rubbish_every: int = 200
    await_expiries: bool = False
    record_times: bool = False
    wave: Wave = 1
    hotel_budget: bool = True
    release_s: tuple[int, ...] = ()
    when_empty: Literal["reject", "queue"] = "reject"

    def __post_init__(self) -> None:
        """Refuse what would make commands that no schema takes, or no campaign at all."""
        counts = {
            "cards": self.cards,
            "claims": self.claims,
            "face_value_minor": self.face_value_minor,
            "voucher_ttl_s": self.voucher_ttl_s,
            "hold_ttl_s": self.hold_ttl_s,
            "day_s": self.day_s,
            "hot_s": self.hot_s,
            "rubbish_every": self.rubbish_every,
        }
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"a scenario with {name} of {value}: it must be at least 1")
        if self.day_s * 1_000 > 6 * HOUR_MS:
            raise ValueError(f"a day_s of {self.day_s}: the campaign is open for 6 hours")
        if not 1 <= len(self.campaign_id) <= 64:
            raise ValueError(
                f"a campaign_id of {len(self.campaign_id)} characters: 1 to 64, other ids are made from it"
            )

    @property
    def category_budgets_minor(self) -> dict[str, int]:
        """Hotels have a budget of their own, less than users would like to spend there; without `hotel_budget` none."""
        return {"hotel": self.cards * self.face_value_minor // 25} if self.hotel_budget else {}

    @property
    def opening_cards(self) -> int:
        """The cards that the campaign is opened with; the rest is a top-up."""
        return self.cards - self.cards // 10


CHANNELS = ("app", "mini-program", "web")


def command_prefix(scenario: Scenario, seed: int) -> str:
    """What the ids of all commands of a play begin with: by it their answers are known."""
    return f"{scenario.campaign_id}:{seed}:"


def chance(seed: int, purpose: str, name: str) -> int:
    """0 to CHANCES - 1, always the same for the same arguments: how a user decides without a memory."""
    return crc32(f"{seed}:{purpose}:{name}".encode()) % CHANCES


def encode(type_: str, command_id: str, time_ms: int, data: dict[str, object]) -> bytes:
    """A command as CloudEvents JSON."""
    return orjson.dumps(
        {
            "specversion": "1.0",
            "id": command_id,
            "source": SOURCE,
            "type": type_,
            "time": rfc3339(time_ms),
            "data": data,
        }
    )


def command(topic: str, type_: str, command_id: str, time_ms: int, key: str, data: dict[str, object]) -> TimedCommand:
    """A command as a record."""
    return TimedCommand(time_ms, topic, key.encode(), encode(type_, command_id, time_ms, data))

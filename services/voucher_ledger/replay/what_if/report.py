"""What a what-if found, as one document: nothing of the run itself is in it, so the same question has the same
bytes (beside live traffic one that has a `--to`: else what came meanwhile is read).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from voucher_ledger.core.clock import rfc3339
from voucher_ledger.replay.what_if.differences import Difference, differences
from voucher_ledger.replay.what_if.rules import Changes
from voucher_ledger.replay.what_if.tally import Figures

RECORDED, BASELINE, CHANGED = "recorded", "baseline", "changed"
# Times and all that lies on the sweeper's moment may differ by a blink; the rest is counted, and compared.
_NOT_COUNTED = frozenset(["found_nothing_at", "sold_out_at", "granted_last_at"])
_TIMES = {"found_nothing_ms": "found_nothing_at", "sold_out_ms": "sold_out_at", "granted_last_ms": "granted_last_at"}


@dataclass(slots=True)
class Report:
    """The sides by name (`changed` only where rules were), each with its campaigns; `changes` as they were asked for.

    `gained` and `lost` count vouchers by campaign, of users who have more or fewer of them by the changed rules.
    `commands` were played, in the place of `time_driven` others were made; `left_out` belong to nobody who is played.
    """

    sides: dict[str, dict[str, Figures]]
    changes: Changes
    bounds: dict[str, str | None] = field(default_factory=dict)
    offsets: dict[str, list[int]] = field(default_factory=dict)
    commands: Mapping[str, int] = field(default_factory=dict)
    time_driven: Mapping[str, int] = field(default_factory=dict)
    undecidable: int = 0
    left_out: int = 0
    unanswered: int = 0
    gained: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    stand_ins: int = 0
    repriced: int = 0
    audits_failed: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def differing(self) -> dict[str, dict[str, tuple[int, int]]]:
        """By campaign, the counts that differ between what was recorded and the baseline: (recorded, baseline)."""
        recorded, baseline = self.sides[RECORDED], self.sides[BASELINE]
        found: dict[str, dict[str, tuple[int, int]]] = {}
        for campaign_id in sorted(recorded.keys() | baseline.keys()):
            one = counts(recorded.get(campaign_id, Figures()))
            other = counts(baseline.get(campaign_id, Figures()))
            unequal = {
                name: (one.get(name, 0), other.get(name, 0))
                for name in sorted(one.keys() | other.keys())
                if one.get(name, 0) != other.get(name, 0)
            }
            if unequal:
                found[campaign_id] = unequal
        return found

    @property
    def differences(self) -> dict[str, dict[str, Difference]]:
        """By campaign, the counts that differ anywhere. A self check has none: the replay itself is what it judges."""
        if CHANGED not in self.sides:
            return {}
        found = {}
        for campaign_id in self.campaign_ids():
            sides = [self.sides[name].get(campaign_id, Figures()) for name in (RECORDED, BASELINE, CHANGED)]
            found[campaign_id] = differences(*map(counts, sides))
        return found

    @property
    def passed(self) -> bool:
        """A self check (nothing was changed) passes where all is equal; and no sandbox's books may be wrong, ever."""
        return not self.audits_failed and (bool(self.changes) or not self.differing)

    def to_json(self) -> str:
        """One JSON object, with its keys in a fixed order."""
        document = {
            "changes": self.changes,
            "self_check": not self.changes,
            "bounds": self.bounds,
            "offsets": self.offsets,
            "commands": self.commands,
            "time_driven_made_anew": self.time_driven,
            "undecidable": self.undecidable,
            "left_out": self.left_out,
            "unanswered": self.unanswered,
            "campaigns": {
                campaign_id: {
                    name: shown(side.get(campaign_id, Figures())) for name, side in self.sides.items()
                }
                for campaign_id in self.campaign_ids()
            },
            "recorded_and_baseline_differ": self.differing,
            "differences": {
                campaign_id: {name: one.document() for name, one in found.items()}
                for campaign_id, found in self.differences.items()
            },
            "vouchers_gained": self.gained,
            "vouchers_lost": self.lost,
            "stand_ins": self.stand_ins,
            "repriced": self.repriced,
            "audits_failed": self.audits_failed,
            "notes": self.notes,
        }  # fmt: skip
        return orjson.dumps(document, option=orjson.OPT_SORT_KEYS).decode()

    def campaign_ids(self) -> list[str]:
        """Every campaign of any side, in order."""
        return sorted(set().union(*self.sides.values()))


def shown(figures: Figures) -> dict[str, Any]:
    """The figures of a campaign with times as RFC 3339, by the names of the document."""
    document = asdict(figures)
    for name, shown_name in _TIMES.items():
        time_ms = document.pop(name)
        document[shown_name] = None if time_ms is None else rfc3339(time_ms)
    return document


def counts(figures: Figures) -> dict[str, int]:
    """Every count of a campaign, by its path: `claims_refused.sold_out`, `by_category.tea.orders`."""
    return dict(_leaves("", {name: value for name, value in shown(figures).items() if name not in _NOT_COUNTED}))


def _leaves(prefix: str, node: dict[str, Any] | int) -> list[tuple[str, int]]:
    if isinstance(node, dict):
        return [leaf for name, child in node.items() for leaf in _leaves(f"{prefix}.{name}" if prefix else name, child)]
    return [(prefix, node)]

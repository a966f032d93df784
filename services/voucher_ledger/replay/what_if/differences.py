"""How far a difference that changed rules make is to be believed: as far as the replay itself is as was recorded."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one count: `by_rules` is changed rules less decided again, `by_replay` decided again less recorded."""

    by_rules: int
    by_replay: int

    @property
    def is_told(self) -> bool:
        """Whether the difference is larger than what the replay itself is off by."""
        return abs(self.by_rules) > abs(self.by_replay)

    def document(self) -> dict[str, int | bool]:
        """As it is printed for programs."""
        return {"by_rules": self.by_rules, "by_replay": self.by_replay, "is_told": self.is_told}


def differences(
    recorded: Mapping[str, int], baseline: Mapping[str, int], changed: Mapping[str, int]
) -> dict[str, Difference]:  # fmt: skip
    """Every count of a campaign that differs anywhere."""
    found = {}
    for name in dict.fromkeys([*recorded, *baseline, *changed]):
        again = baseline.get(name, 0)
        one = Difference(changed.get(name, 0) - again, again - recorded.get(name, 0))
        if one.by_rules or one.by_replay:
            found[name] = one
    return found


def in_words(one: Difference) -> str:
    """What a reader of the row must know; only of one whose replay is off."""
    off = f"the replay itself differs from the record by {abs(one.by_replay):,} in this row"
    if one.is_told:
        return f"{off}: the difference of {one.by_rules:+,} holds to about that much"
    if not one.by_rules:
        return f"{off}: that nothing differs holds to about that much"
    return f"{off}: the difference of {one.by_rules:+,} is not to be told from the replay's own inexactness"

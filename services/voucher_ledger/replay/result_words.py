"""What an operation came to, in words: the journal keeps it as JSON, which nobody reads at midnight."""

from collections.abc import Mapping
from typing import Any

from voucher_ledger.replay.dead_letters.shown import plain

# Their parts are of one kind, so that a reader wants the whole first; others are of sides or currencies.
_SUMMED = frozenset(["booked_as_loss", "by_topic", "left", "rows"])
# What earlier versions wrote of a signal.
_SIGNALS = {"KeyboardInterrupt:": "interrupted", "Terminated:": "terminated"}


def result_in_words(result: Mapping[str, Any]) -> str:
    """`redriven 100, left 3,900 (redriven before)`; an error as it was told."""
    parts = sorted(result.items(), key=lambda item: (item[0] == "error", isinstance(item[1], Mapping)))
    return ", ".join(
        _error_in_words(value) if name == "error" else f"{name.replace('_', ' ')} {value_in_words(name, value)}"
        for name, value in parts
    )


def value_in_words(name: str, value: object) -> str:
    """One value of a result: a number with its thousands, what has parts with their names."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return _parts_in_words(name, {part: held for part, held in value.items() if held})
    if isinstance(value, list):
        return ", ".join(value_in_words(name, one) for one in value) or "none"
    return plain(value)


def _parts_in_words(name: str, parts: Mapping[str, Any]) -> str:
    if not parts:
        return "0"
    listed = ", ".join(f"{plain(part)} {value_in_words(name, held)}" for part, held in parts.items())
    if name not in _SUMMED:
        return f"({listed})"
    return f"{sum(parts.values()):,} ({listed if len(parts) > 1 else plain(next(iter(parts)))})"


def _error_in_words(error: object) -> str:
    told = plain(error).strip()
    return _SIGNALS.get(told, told)

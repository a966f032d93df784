"""Label values from bounded sets: each combination of them is a series that Prometheus keeps for weeks."""

import time
from collections.abc import Callable

OTHER = "other"
NONE = ""
# Campaigns that a room's process names: each has a series for every category and city tier that it is asked in.
CAMPAIGNS_MAX = 20
# Campaigns that the metrics of the ledger name: each has 23 series at most.
LEDGER_CAMPAIGNS_MAX = 64
CATEGORIES_MAX = 40
# Of campaigns and categories that nothing was decided of for so long, one gives its place up where another needs it.
IDLE_SECONDS_MIN = 3_600.0

# What a dead letter's reason says, by its first words or some of them, in the order in which they are looked for.
_DEAD_LETTER_CLASSES = (
    ("the decision failed", "decision_failed"),
    ("the record's timestamp", "timestamp"),
    ("the value is null", "no_value"),
    ("not JSON", "not_json"),
    ("the record is nested", "schema"),
    ("the record is", "not_an_object"),
    ("unknown type", "unknown_type"),
    ("type is missing", "unknown_type"),
    ("type:", "unknown_type"),
    ("no key", "wrong_key"),
    ("key ", "wrong_key"),
)
DEAD_LETTER_CLASSES = frozenset([*dict(_DEAD_LETTER_CLASSES).values(), "too_large", "schema"])


class Bounded:
    """At most `size_max` values; all others are OTHER.

    A value keeps its place while it is used. Where none is left for a new one, the value that was idle longest gives up
    its own, once it was for IDLE_SECONDS_MIN: by then everybody has scraped its last figures, and a counter that begins
    anew under an old name is a reset like any other. `on_free` is told of it, to remove what is counted under it.
    """

    def __init__(
        self, size_max: int, on_free: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` tells seconds from any moment on. Values are let in by one thread; others may ask for them."""
        self._size_max = size_max
        self._on_free = on_free
        self._clock = clock
        self._used_seconds: dict[str, float] = {}

    def known(self, value: str | None) -> str:
        """The label of a value that must have been let in before; this is no use of it."""
        if not value:
            return NONE
        return value if value in self._used_seconds else OTHER

    def let_in(self, value: str | None) -> str:
        """The label of a value; it is one of its own while there is room, or some can be made."""
        if not value:
            return NONE
        now_seconds = self._clock()
        if value not in self._used_seconds and len(self._used_seconds) >= self._size_max:
            # Of several that are idle as long, the one that was let in first: min takes the first.
            idlest = min(self._used_seconds, key=self._used_seconds.__getitem__)
            if now_seconds - self._used_seconds[idlest] < IDLE_SECONDS_MIN:
                return OTHER
            del self._used_seconds[idlest]
            self._on_free(idlest)
        self._used_seconds[value] = now_seconds
        return value


def dead_letter_class(error: str) -> str:
    """The class of a dead letter's reason; what is none of the others failed its schema."""
    for words, name in _DEAD_LETTER_CLASSES:
        if error.startswith(words):
            return name
    return "too_large" if " bytes; at most " in error else "schema"

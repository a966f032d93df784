"""Label values from bounded sets: each combination of them is a series that Prometheus keeps for weeks."""

import threading

OTHER = "other"
NONE = ""
# Campaigns that a process names in its metrics; the accounts of further ones are in the ledger.
CAMPAIGNS_MAX = 20
CATEGORIES_MAX = 40

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
    """At most `size_max` values, the first that are let in; all others are OTHER.

    None is ever let go: a counter that began anew under its old name would count what was before it twice in a sum.
    A process that has seen more campaigns than that names no new one until it is started again.
    """

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def known(self, value: str | None) -> str:
        """The label of a value that must have been let in before."""
        if not value:
            return NONE
        return value if value in self._known else OTHER

    def let_in(self, value: str | None) -> str:
        """The label of a value; it is one of its own while there is room."""
        if not value or value in self._known:
            return value or NONE
        with self._lock:
            if len(self._known) >= self._size_max:
                return OTHER
            self._known.add(value)
        return value


def dead_letter_class(error: str) -> str:
    """The class of a dead letter's reason; what is none of the others failed its schema."""
    for words, name in _DEAD_LETTER_CLASSES:
        if error.startswith(words):
            return name
    return "too_large" if " bytes; at most " in error else "schema"

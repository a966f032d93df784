"""Counts, times and names as the picture writes them. Pure."""

from datetime import UTC, datetime

# What is measured before it is cut to its place; no campaign's name needs as much.
CHARACTERS_MAX = 200
ELLIPSIS = "…"
UNKNOWN = "\N{EN DASH}"
TIMES = "\N{MULTIPLICATION SIGN}"


def whole(count: float | None) -> str:
    """A count with its thousands apart; a dash where it is not known."""
    return UNKNOWN if count is None else f"{count:,.0f}"


def percent(share: float) -> str:
    """A share of 1, with a decimal where it is small and not nothing."""
    return f"{100 * share:.{1 if 0 < share < 0.0995 else 0}f} %"


def moment(seconds: float, form: str = "%Y-%m-%d %H:%M") -> str:
    """Seconds since 1970 in UTC, as all times of the page and the picture are."""
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def span(start_seconds: int, end_seconds: int) -> str:
    """From when to when, in UTC (seconds since 1970); the day once where both are in it."""
    same_day = moment(start_seconds, "%Y-%m-%d") == moment(end_seconds, "%Y-%m-%d")
    return f"{moment(start_seconds)} to {moment(end_seconds, '%H:%M' if same_day else '%Y-%m-%d %H:%M')} UTC"


def one_line(text: str) -> str:
    """A name as it is, but in one line: a line break, or what has no shape at all, would tear the layout."""
    shown = "".join(character if character.isprintable() else " " for character in text[: CHARACTERS_MAX + 1])
    joined = " ".join(shown.split())
    return joined if len(text) <= CHARACTERS_MAX else joined[:CHARACTERS_MAX] + ELLIPSIS

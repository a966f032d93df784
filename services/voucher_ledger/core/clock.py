"""Record timestamps (milliseconds since 1970) as RFC 3339 text in UTC, and back. No clock is read here."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that RFC 3339 can write


@lru_cache(maxsize=8_192)
def _second_text(second: int) -> str:
    return (_EPOCH + timedelta(seconds=min(second, _LAST_SECOND))).strftime("%Y-%m-%dT%H:%M:%S")


# Records that a broker appended together carry the same time, so most calls find theirs.
@lru_cache(maxsize=16_384)
def rfc3339(time_ms: int) -> str:
    """`1770307200123` as `2026-02-05T16:00:00.123Z`; times past the year 9999 are shown as its last second."""
    second, millisecond = divmod(time_ms, 1000)
    return f"{_second_text(second)}.{millisecond:03d}Z"


def rfc3339_of(moment: datetime) -> str:
    """The same of a time as Postgres tells it, to the nearest millisecond."""
    return rfc3339(round(moment.timestamp() * 1_000))


def milliseconds(text: str) -> int:
    """The milliseconds since 1970 of an RFC 3339 text (its fraction cut after the third digit).

    Raises ValueError where the text is no such time.
    """
    moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00").replace("t", "T"))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return (moment - _EPOCH) // timedelta(milliseconds=1)

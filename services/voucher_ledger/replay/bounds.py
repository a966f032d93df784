"""`--from` and `--to`: a bound of a topic's partitions, as a time or as an offset."""

from dataclasses import dataclass

from voucher_ledger.core.clock import milliseconds


@dataclass(frozen=True, slots=True)
class Bound:
    """Either a time (milliseconds since 1970, a record's Kafka timestamp) or an offset, the same in each partition."""

    time_ms: int | None = None
    offset: int | None = None


UNBOUNDED = Bound()


def bound(text: str) -> Bound:
    """`1200` is an offset, `2026-02-06T00:00:00Z` a time.

    Raises:
        ValueError: it is neither.
    """
    if text.isdecimal() and text.isascii():
        return Bound(offset=int(text))
    try:
        return Bound(time_ms=milliseconds(text))
    except ValueError:
        raise ValueError(f"{text!r} is neither an offset nor a time such as 2026-02-06T00:00:00Z") from None


def place(text: str) -> tuple[int, int]:
    """`2/1200` is the offset 1200 of partition 2.

    Raises:
        ValueError: it is not of that form.
    """
    partition, slash, offset = text.partition("/")
    if slash and all(part.isdecimal() and part.isascii() for part in (partition, offset)):
        return int(partition), int(offset)
    raise ValueError(f"{text!r} is no place such as 2/1200 (partition/offset)")

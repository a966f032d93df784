"""How far a rehearsal was copied, read from the copies themselves: no note of it can differ from what was sent."""

from collections.abc import Iterable, Iterator
from itertools import chain

from confluent_kafka import Message

from voucher_ledger.replay.copying.pairs import Pair
from voucher_ledger.replay.copying.rewrite import SOURCE_HEADER, TAG
from voucher_ledger.replay.copying.vouchers import VoucherPlaces
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.reading import Span, records, spans
from voucher_ledger.runtime.incoming import readable_headers
from voucher_ledger.runtime.published_mark import last_cause
from voucher_ledger.runtime.settings import Settings


def copied_offset(record: Message, name: str, source: str, partition: int) -> int | None:
    """The offset in `source`/`partition` whose copy this is in the rehearsal `name`; None for any other record."""
    headers = dict(readable_headers(record) or [])
    prefix = f"{source}/{partition}/".encode()
    place = headers.get(SOURCE_HEADER) or b""
    if headers.get(TAG) != name.encode() or not place.startswith(prefix):
        return None
    return int(place.removeprefix(prefix))


def first_left(target: Settings, pair: Pair, part: Span, name: str) -> int:
    """The first offset of `part` that is not copied: a partition is copied in order, so the last copy tells.

    Raises SessionLost where the target can't be read to its end.
    """
    last = last_cause(
        target, pair.target, part.partition, lambda record: copied_offset(record, name, pair.source, part.partition)
    )
    return max(part.start, last + 1)


def refuse_holes(settings: Settings, target: Settings, pair: Pair, part: Span, name: str) -> None:
    """Raise Refused where a record of `part`, which ends with its last copy under this name or before it, has none:
    the copies are of another range, and to go on after them would leave that record out in silence. Raises Unread.
    """
    held = spans(target, pair.target, [part.partition])
    found = (copied_offset(record, name, pair.source, part.partition) for record in records(target, held))
    copies: Iterator[int] = (offset for offset in found if offset is not None and part.start <= offset < part.end)
    start = part.start
    if any(there.start > 0 for there in held):  # earlier copies were deleted from the target, which makes no hole
        start = next(copies, part.end)
        copies = chain([start], copies)
    originals = (record for record in records(settings, [Span(part.topic, part.partition, start, part.end)]))
    missed = first_missed((int(record.offset() or 0) for record in originals if not is_copy(record)), copies)
    if missed is not None:
        raise Refused(
            f"there are copies named {name} of offsets after {part.topic}/{part.partition}/{missed}, and none of that "
            "record: a partition is copied in order, so they are of another range. Give this range another --name"
        )


def first_missed(originals: Iterable[int], copies: Iterable[int]) -> int | None:
    """The first of `originals` that is not among `copies`; both ascend. None where none is missing."""
    held: Iterator[int] = iter(copies)
    reached: int | None = -1
    for offset in originals:
        while reached is not None and reached < offset:
            reached = next(held, None)
        if reached != offset:
            return offset
    return None


def is_copy(record: Message) -> bool:
    """Whether a record is itself a copy, of whatever rehearsal: such are never copied again."""
    return any(header == TAG for header, _ in readable_headers(record) or [])


def learn(target: Settings, pair: Pair, name: str, places: VoucherPlaces) -> None:
    """Note where the claims of an earlier run were copied to. Raises Unread, Unreachable."""
    for record in records(target, spans(target, pair.target)):
        partition = int(record.partition() or 0)
        source = copied_offset(record, name, pair.source, partition)
        if source is not None:
            places.add(partition, source, int(record.offset() or 0))

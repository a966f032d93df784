"""How far a rehearsal was copied, read from the copies themselves: no note of it can differ from what was sent."""

from confluent_kafka import Message

from voucher_ledger.replay.copying.pairs import Pair
from voucher_ledger.replay.copying.rewrite import SOURCE_HEADER, TAG
from voucher_ledger.replay.copying.vouchers import VoucherPlaces
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


def learn(target: Settings, pair: Pair, name: str, places: VoucherPlaces) -> None:
    """Note where the claims of an earlier run were copied to. Raises Unread, Unreachable."""
    for record in records(target, spans(target, pair.target)):
        partition = int(record.partition() or 0)
        source = copied_offset(record, name, pair.source, partition)
        if source is not None:
            places.add(partition, source, int(record.offset() or 0))

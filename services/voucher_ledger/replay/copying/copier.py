"""Copies the records: at their times, in transactions, each partition in its order."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import Message

from voucher_ledger.produce.pace import Pace
from voucher_ledger.replay.copying.rewrite import TAG, Rewriter
from voucher_ledger.replay.copying.schedule import Schedule
from voucher_ledger.replay.transactions import Transactions
from voucher_ledger.runtime.incoming import readable_headers
from voucher_ledger.runtime.outbox import Header

RECORDS_A_TRANSACTION_MAX = 5_000
# A reader of the copies sees them once their transaction is committed: so much may they come later than their time.
TRANSACTION_SECONDS_MAX = 0.1
_WAIT_WITHIN_SECONDS_MAX = 0.02
CLAIMS = "claim.commands"


@dataclass(slots=True)
class Copied:
    """What became of the records: copied by target topic, and those that were copies themselves and are left out."""

    by_topic: Counter[str] = field(default_factory=Counter)
    rehearsals: int = 0
    names_unreadable: int = 0

    @property
    def count(self) -> int:
        """How many are copied."""
        return sum(self.by_topic.values())


class Copier:
    """Copies records to the target of their topic; an object does it once."""

    def __init__(
        self,
        producer: Transactions,
        targets: dict[str, str],
        rewriter: Rewriter,
        schedule: Schedule,
        pace: Pace,
        *,
        original_times: bool,
    ) -> None:
        self._producer = producer
        self._targets = targets
        self._rewriter = rewriter
        self._schedule = schedule
        self._pace = pace
        self._original_times = original_times
        self._pending = 0
        self._began_seconds = 0.0
        self.copied = Copied()

    def run(self, merged: Iterable[tuple[int, Message]], count_max: int | None) -> Iterator[int]:
        """Copy `merged` records, at most `count_max`; yields how many were copied after each transaction.

        Raises SessionLost, Fenced: the transaction under way is undone, those before it stand.
        """
        for time_ms, record in merged:
            if self.copied.count == count_max:
                break
            headers = self._headers(record)
            if any(name == TAG for name, _ in headers):
                self.copied.rehearsals += 1  # or a copy onto its own topic would never end
                continue
            wait_seconds = max(self._schedule.wait_seconds(time_ms), self._pace.wait_seconds(1))
            if wait_seconds > _WAIT_WITHIN_SECONDS_MAX and self._commit():
                yield self.copied.count
            if wait_seconds:
                time.sleep(wait_seconds)
            self._send(record, headers)
            if self._is_full() and self._commit():
                yield self.copied.count
        self._commit()
        yield self.copied.count

    def _headers(self, record: Message) -> list[Header]:
        headers = readable_headers(record)
        if headers is None:
            self.copied.names_unreadable += 1
            record.set_headers([])
        return headers or []

    def _send(self, record: Message, headers: list[Header]) -> None:
        topic, partition, offset = str(record.topic()), int(record.partition() or 0), int(record.offset() or 0)
        if not self._pending:
            self._producer.begin()
            self._began_seconds = time.monotonic()
        rewriter, places = self._rewriter, self._rewriter.vouchers
        if rewriter.awaits(record.value()):
            self._producer.flush()  # the claim may be on its way: only its acknowledgement says where it lies
        key, value = rewriter.rewrite(topic, record.key(), record.value())

        def delivered(target_partition: int, target_offset: int) -> None:
            places.add(target_partition, offset, target_offset)

        self._producer.send(
            self._targets[topic], value, key, partition=partition,
            headers=rewriter.headers(headers, f"{topic}/{partition}/{offset}"),
            time_ms=int(record.timestamp()[1]) if self._original_times else 0,
            delivered=delivered if topic == CLAIMS else None,
        )  # fmt: skip
        self._pending += 1
        self.copied.by_topic[self._targets[topic]] += 1

    def _is_full(self) -> bool:
        return (
            self._pending >= RECORDS_A_TRANSACTION_MAX
            or time.monotonic() - self._began_seconds >= TRANSACTION_SECONDS_MAX
        )

    def _commit(self) -> bool:
        """End the open transaction, if there is one."""
        if not self._pending:
            return False
        self._producer.commit()
        self._pending = 0
        return True

"""Marks dead letters as looked at and not to be driven again; or lifts that."""

import time
from collections.abc import Iterable, Iterator

from voucher_ledger.produce.pace import Pace
from voucher_ledger.replay.dead_letters.letters import Letter
from voucher_ledger.replay.dead_letters.marks import MARK_TOPIC, Mark, MarkKind, mark_key
from voucher_ledger.replay.dead_letters.redrive import LETTERS_A_TRANSACTION_MAX, batches
from voucher_ledger.replay.operations import Operation
from voucher_ledger.replay.transactions import Transactions


def mark_all(
    letters: Iterable[Letter], kind: MarkKind, producer: Transactions, operation: Operation, pace: Pace
) -> Iterator[int]:
    """Mark `letters`; yields how many are done after each transaction. Raises as `redrive`."""
    done = 0
    for batch in batches(letters, pace.chunk(LETTERS_A_TRANSACTION_MAX)):
        now_ms = time.time_ns() // 1_000_000
        mark = Mark(kind, operation.operation_id, operation.actor, operation.reason, now_ms)
        producer.begin()
        for letter in batch:
            producer.send(MARK_TOPIC, mark.to_json(), mark_key(letter.place))
        producer.commit()
        done += len(batch)
        operation.result[kind.value] = done
        yield done
        wait_seconds = pace.wait_seconds(len(batch))
        if wait_seconds:
            time.sleep(wait_seconds)

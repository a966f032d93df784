"""Drives dead letters again: each goes to the topic and partition that it came from, and gets its mark, at once.

A batch is one Kafka transaction: the records as they lay there (key, bytes, headers), and on
`ledger.dead-letter-marks` a mark for each. Killed at any moment the tool leaves both or neither, and its next run,
which first ends what was left open, reads in the marks what is done.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from voucher_ledger.core.records import Place
from voucher_ledger.produce.pace import Pace
from voucher_ledger.replay.dead_letters.choice import ATTEMPTS_MAX, Verdict, verdict
from voucher_ledger.replay.dead_letters.letters import Letter
from voucher_ledger.replay.dead_letters.marks import MARK_TOPIC, Mark, MarkKind, mark_key
from voucher_ledger.replay.operations import Operation
from voucher_ledger.replay.transactions import Transactions

# The transactional id's name: one redrive at a time, and a second run fences the first.
REDRIVE = "redrive"
LETTERS_A_TRANSACTION_MAX = 500
BYTES_A_TRANSACTION_MAX = 32 * 1_048_576

Ends = Mapping[Place, int]


@dataclass(frozen=True, slots=True)
class Rules:
    """What redrive may do: see `choice.verdict`; at most `count_max` letters are driven."""

    attempts_max: int = ATTEMPTS_MAX
    again_before_ms: int | None = None
    count_max: int = 10_000
    is_edited: bool = False


@dataclass(frozen=True, slots=True)
class Edit:
    """What is sent in a letter's place: a value that can be decided, and its key."""

    value: bytes
    key: bytes


@dataclass(slots=True)
class Sorted:
    """The letters that were meant, by what is to become of each; `more` were past the count that may be driven."""

    counts: Counter[Verdict] = field(default_factory=Counter)
    more: int = 0


def sort_out(
    letters: Iterable[tuple[Letter, Mark | None]], rules: Rules, into: Sorted, ends: Ends | None = None
) -> Iterator[Letter]:
    """Yield the letters to drive, and count all of them in `into`; for `ends` see `choice.verdict`."""
    for letter, mark in letters:
        what = verdict(
            letter, mark, attempts_max=rules.attempts_max, again_before_ms=rules.again_before_ms, ends=ends,
            is_edited=rules.is_edited,
        )  # fmt: skip
        if what is Verdict.REDRIVE and into.counts[what] >= rules.count_max:
            into.more += 1
            continue
        into.counts[what] += 1
        if what is Verdict.REDRIVE:
            yield letter


def batches(letters: Iterable[Letter], count_max: int) -> Iterator[list[Letter]]:
    """`letters` in order, in lists of at most `count_max`; shorter ones where they are large."""
    batch: list[Letter] = []
    size_bytes = 0
    for letter in letters:
        batch.append(letter)
        size_bytes += len(letter.value or b"")
        if len(batch) >= count_max or size_bytes >= BYTES_A_TRANSACTION_MAX:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


def redrive(
    letters: Iterable[Letter], producer: Transactions, operation: Operation, pace: Pace, edit: Edit | None = None
) -> Iterator[int]:
    """Drive `letters`; yields how many are done after each transaction.

    The producer must have been opened before the marks were read that chose the letters. `edit` is sent in the place of
    the one letter there is. Raises SessionLost, Fenced: the transaction under way is undone, those before it stand.
    """
    done = 0
    for batch in batches(letters, pace.chunk(LETTERS_A_TRANSACTION_MAX)):
        _drive(batch, producer, operation, edit)
        done += len(batch)
        operation.result["redriven"] = done
        yield done
        wait_seconds = pace.wait_seconds(len(batch))
        if wait_seconds:
            time.sleep(wait_seconds)


def _drive(batch: list[Letter], producer: Transactions, operation: Operation, edit: Edit | None) -> None:
    now_ms = time.time_ns() // 1_000_000
    mark = Mark(
        MarkKind.REDRIVEN, operation.operation_id, operation.actor, operation.reason, now_ms, edited=edit is not None
    )  # fmt: skip
    marks: dict[tuple[int, int], Mark] = {}
    producer.begin()
    for letter in batch:
        sent = letter if edit is None else replace(letter, value=edit.value, key=edit.key)

        def delivered(partition: int, offset: int, letter: Letter = letter) -> None:
            marks[letter.place] = replace(mark, to=f"{letter.topic}/{partition}/{offset}")

        producer.send(
            letter.topic, sent.value, sent.key, headers=letter.headers, delivered=delivered,
            # Where other producers hash keys differently, the user's other commands lie where this one lay.
            partition=letter.cause_partition if sent.key == letter.key else -1,
        )  # fmt: skip
    producer.sent()
    for letter in batch:
        producer.send(MARK_TOPIC, marks[letter.place].to_json(), mark_key(letter.place))
    producer.commit()

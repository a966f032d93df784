"""Proves from the seals that the history is as it was decided: the chain itself, the topics against it, kept heads.

Beside live traffic: what is judged is the chain as of one snapshot. Its records are on the topics, or will be: what is
decided and not published yet is waited for, as `replay verify` does.
"""

import time
from collections.abc import Collection
from functools import partial
from threading import Event
from typing import Any

import orjson
import psycopg
from confluent_kafka import Message

from voucher_ledger.core.messages import KEY_FIELD_BY_COMMAND_TOPIC
from voucher_ledger.core.records import Place
from voucher_ledger.core.sealing import BETWEEN, letter_digest
from voucher_ledger.replay.answers import EVENT_TOPICS
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.ledger_rows import snapshot, waits_in_outbox
from voucher_ledger.replay.read_published import read_published
from voucher_ledger.replay.seals.chain import Chains, Head
from voucher_ledger.replay.seals.decided import Decided
from voucher_ledger.replay.seals.match import EVENTS, LETTERS, UNDECIDED, Found, Match, Sealed
from voucher_ledger.replay.seals.report import Fault, SealsReport
from voucher_ledger.replay.seals.rows import SealedBatches, all_seals
from voucher_ledger.replay.seals.unsealed import Unsealed
from voucher_ledger.replay.topic_reader import NO_PROGRESS, Progress, Range, TopicReader, place_of
from voucher_ledger.replay.verify_scope import refuse_strange_partitions
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.incoming import readable_headers
from voucher_ledger.runtime.publisher import DEAD_LETTER_TOPIC
from voucher_ledger.runtime.settings import Settings

PUBLISHED_SECONDS_MAX = 60.0
_COMMAND_TOPICS = {events: commands for commands, events in EVENT_TOPICS.items()}
_KEY_FIELDS = {str(topic): field for topic, field in KEY_FIELD_BY_COMMAND_TOPIC.items()}


def verify_seals(
    settings: Settings,
    stop: Event,
    kept: Collection[Head] = (),
    partitions: frozenset[int] | None = None,
    *,
    progress: Progress = NO_PROGRESS,
    rate: float | None = None,
) -> SealsReport:
    """Compare seals, topics and the heads that were `kept`, of all `partitions` or of these; `stop` ends it early.

    Raises Refused where there is nothing of what is asked for, Unreachable, NotSetUp, and Unread where a topic can't be
    read to its end (or `stop` was set).
    """
    began_seconds = time.monotonic()
    report = SealsReport()
    asked = asked_heads(kept, partitions, report)
    reader = TopicReader(settings, stop, progress, rate)
    try:
        if partitions is not None:
            refuse_strange_partitions(partitions, reader.ranges(EVENT_TOPICS))
        with postgres.connect(settings.postgres, application="verify") as connection:
            chains, unsealed = _chains(connection, report, asked, partitions)
            _Verification(reader, connection, chains, report, stop, partitions, unsealed).run()
            unsealed.finish(reader)
    finally:
        reader.close()
    report.duration_seconds = time.monotonic() - began_seconds
    return report


def asked_heads(kept: Collection[Head], partitions: frozenset[int] | None, report: SealsReport) -> list[Head]:
    """The heads of the partitions asked for; the report says how many there are, and how many of others are left out.
    Raises Refused where none is left: whoever gives heads would take what passes for proof that they are there.
    """
    asked = [head for head in kept if partitions is None or head.partition in partitions]
    if partitions is not None and kept and not asked:
        numbers = sorted({head.partition for head in kept})
        raise Refused(
            f"the kept heads are of partitions {numbers}, and none of {sorted(partitions)}: they prove nothing"
        )
    report.heads_kept = len(asked)
    if others := len(kept) - len(asked):
        report.notes.append(f"{others} kept heads are of other partitions than these, and were not looked for")
    return asked


def _chains(
    connection: psycopg.Connection, report: SealsReport, kept: Collection[Head], partitions: frozenset[int] | None
) -> tuple[Chains, Unsealed]:
    """The chains, judged by themselves, and what is to be known of what lies before them."""
    chains = Chains(report, kept)
    with snapshot(connection) as ledger:
        positions = {
            place: position.next_offset
            for place, position in ledger.positions().items()
            if partitions is None or place[1] in partitions
        }
        for seal in all_seals(connection, None if partitions is None else sorted(partitions)):
            chains.take(seal)
    chains.finish(positions)
    for (topic, partition), ends in sorted(chains.standings.items()):
        head = {"number": ends.number, "next_offset": ends.next_offset, "seal": ends.seal.hex()}
        report.heads[f"{topic}/{partition}"] = head
    return chains, Unsealed(report, chains, positions)


class _Verification:
    """The topics against the chains."""

    def __init__(
        self, reader: TopicReader, connection: psycopg.Connection, chains: Chains, report: SealsReport, stop: Event,
        partitions: frozenset[int] | None, unsealed: Unsealed,
    ) -> None:  # fmt: skip
        self._reader = reader
        self._connection = connection
        self._chains = chains
        self._report = report
        self._stop = stop
        self._partitions = partitions
        self._unsealed = unsealed
        self._decided = Decided(connection)
        self._matches: dict[tuple[Place, str], Match] = {}
        for place, ends in chains.standings.items():
            for kind, count, separator in ((EVENTS, ends.events, BETWEEN), (LETTERS, ends.letters, b"")):
                sealed = Sealed(f"{place[0]}/{place[1]}", kind, ends.first_offset, ends.next_offset, count)
                batches = SealedBatches(connection, place, kind, ends.number)
                self._matches[place, kind] = Match(
                    sealed, batches, report, separator, partial(self._decided.covers, place)
                )

    def run(self) -> None:
        held = self._reader.ranges([*_COMMAND_TOPICS, DEAD_LETTER_TOPIC])
        starts = {place: range_.low for place, range_ in held.items() if self._is_asked(place)}
        self._read(starts)
        for (place, kind), match in self._matches.items():
            match.finish(
                earlier_were_deleted=self._were_deleted(held, place, kind),
                waits_in_outbox=lambda low, high, place=place: waits_in_outbox(self._connection, place, low, high),  # type: ignore[misc]
            )

    def _is_asked(self, place: Place) -> bool:
        return place[0] == DEAD_LETTER_TOPIC or self._partitions is None or place[1] in self._partitions

    def _were_deleted(self, held: dict[Place, Range], place: Place, kind: str) -> bool:
        """Whether the topic begins later than it once did, where the answers to `place` lie."""
        if kind == EVENTS:
            output = (EVENT_TOPICS[place[0]], place[1])
        else:
            letters = sum(topic == DEAD_LETTER_TOPIC for topic, _ in held)
            output = (DEAD_LETTER_TOPIC, place[1] % letters)
        return output in held and held[output].low > 0

    def _read(self, starts: dict[Place, int]) -> None:
        """Read on until all that is sealed has come, or no more can come."""

        def short() -> list[tuple[Place, str]]:
            return [key for key, match in self._matches.items() if match.short]

        def waits(key: tuple[Place, str]) -> bool:
            return self._waits(key[0])

        read_published(self._reader, starts, self._take, short, waits, self._stop, PUBLISHED_SECONDS_MAX)

    def _waits(self, place: Place) -> bool:
        ends = self._chains.standings[place]
        return waits_in_outbox(self._connection, place, ends.first_offset, ends.next_offset)

    def _take(self, record: Message, place: Place, offset: int) -> None:
        where = f"{place[0]}/{place[1]}/{offset}"
        of_letters = place[0] == DEAD_LETTER_TOPIC
        try:
            cause, found = _letter(record, where) if of_letters else _event(record, where, _COMMAND_TOPICS[place[0]])
        except (ValueError, KeyError, TypeError, AttributeError):
            kind = "dead letter that says which record it holds" if of_letters else "event with the id of a command"
            self._report.blame(Fault.ADDED, f"{where} is no {kind}: it was added, or changed")
            return
        if cause[0] not in EVENT_TOPICS or (not of_letters and cause != (_COMMAND_TOPICS[place[0]], place[1])):
            text = f"{where} answers {cause[0]}/{cause[1]}/{found.offset}, whose answer belongs elsewhere: it was added"
            self._report.blame(Fault.ADDED, text)
            return
        match = self._matches.get((cause, LETTERS if of_letters else EVENTS))
        if match is not None:
            match.take(found)
        elif self._partitions is None or cause[1] in self._partitions:
            if self._decided.covers(cause, found.offset):
                self._unsealed.take(cause, found.offset)
            else:
                text = f"{where} answers {cause[0]}/{cause[1]}/{found.offset}, {UNDECIDED}"
                self._report.blame(Fault.ADDED, text)


def _event(record: Message, where: str, command_topic: str) -> tuple[Place, Found]:
    """The partition of the command that an event answers, and the event as it is sealed."""
    value = record.value() or b""
    event: Any = orjson.loads(value)
    cause: list[str] = event["id"].split("/")
    topic, partition, offset, index = cause
    odd = None if index == "0" else "has an index that no event has"
    key = event["data"].get(_KEY_FIELDS[command_topic])
    if not isinstance(key, str) or record.key() != key.encode():
        odd = "has another key than its content"
    elif readable_headers(record) != []:
        odd = "has headers, which no event has"
    return (topic, int(partition)), Found(where, place_of(record)[1], int(offset), value, odd)


def _letter(record: Message, where: str) -> tuple[Place, Found]:
    """The partition that a dead letter comes from, and the letter as it is sealed."""
    headers = readable_headers(record)
    if headers is None:
        raise ValueError("its headers can't be read")
    told = dict(headers)
    topic, partition, offset = ((told[name] or b"").decode() for name in ("dlq_topic", "dlq_partition", "dlq_offset"))
    content = letter_digest(record.key(), record.value(), headers)
    return (topic, int(partition)), Found(where, place_of(record)[1], int(offset), content)

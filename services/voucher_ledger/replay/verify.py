"""Proves from the topics that the ledger is right: every command answered once, and every row what the events tell.

Beside live traffic: one snapshot of the ledger gives the positions and, as of the same moment, the rows. What was
decided below a position is in these rows and will be on the event topic; what lies above is in neither. So the topics
are read until the answers below the positions are complete: the outbox tells whether one may still come.
"""

import time
from collections import Counter
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from threading import Event

import orjson
import psycopg
from confluent_kafka import Message

from voucher_ledger.core.records import Place
from voucher_ledger.replay.answers import EVENT_TOPICS, Answers
from voucher_ledger.replay.compare import compare_all
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.events_aside import EventsAside
from voucher_ledger.replay.fold import EventData
from voucher_ledger.replay.fold_campaigns import CAMPAIGN_TYPES
from voucher_ledger.replay.ledger_rows import LedgerFigures, LedgerPosition, next_offsets, snapshot, waits_in_outbox
from voucher_ledger.replay.read_published import read_published
from voucher_ledger.replay.rows import TABLES
from voucher_ledger.replay.spill import Spill, bucket_count
from voucher_ledger.replay.topic_reader import NO_PROGRESS, Progress, TopicReader
from voucher_ledger.replay.verify_judge import Judge
from voucher_ledger.replay.verify_report import VerifyReport
from voucher_ledger.replay.verify_scope import Scope, bounded, refuse_strange_partitions
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.incoming import readable_headers
from voucher_ledger.runtime.publisher import DEAD_LETTER_TOPIC
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.topics import describe

PUBLISHED_SECONDS_MAX = 60.0


def verify(
    settings: Settings,
    stop: Event,
    scope: Scope | None = None,
    *,
    spill_directory: Path | None = None,
    progress: Progress = NO_PROGRESS,
    rate: float | None = None,
) -> VerifyReport:
    """Compare topics and ledger; `stop` ends it early. `progress` is told how many records were read: `rate` a
    second at most.

    Raises Unreachable, NotSetUp, Refused where there is nothing of what `scope` names, and Unread where a topic can't
    be read to its end (or `stop` was set).
    """
    began_seconds = time.monotonic()
    scope = scope or Scope()
    reader = TopicReader(settings, stop, progress, rate)
    try:
        with postgres.connect(settings.postgres, application="verify") as connection, ExitStack() as held:
            with snapshot(connection, scope.campaign_id) as ledger:
                positions = ledger.positions()
                decided = sum(position.decided for position in positions.values())
                spill = held.enter_context(Spill(bucket_count(decided), spill_directory))
                if scope.whole:
                    for table in TABLES:
                        for line in ledger.lines(table):
                            spill.add(line.partition(b"\t")[0], table.name, line)
                figures = ledger.figures()
            report = _Verification(settings, reader, connection, scope, positions, spill, stop).run(figures)
    finally:
        reader.close()
    report.duration_seconds = time.monotonic() - began_seconds
    return report


class _Verification:
    def __init__(
        self, settings: Settings, reader: TopicReader, connection: psycopg.Connection, scope: Scope,
        positions: dict[Place, LedgerPosition], spill: Spill, stop: Event,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._reader = reader
        self._connection = connection
        self._scope = scope
        self._whole = scope.whole
        self._positions = positions
        self._spill = spill
        self._stop = stop
        self._commands = reader.ranges(EVENT_TOPICS)
        refuse_strange_partitions(scope.partitions, self._commands)
        # Later than the positions: what came meanwhile can only lie beyond them. Not the ends of readers, which an open
        # transaction holds back.
        self._command_ends = reader.written(self._commands)
        self._bounds = bounded(reader, scope, positions, self._commands)
        self._answers = Answers(self._bounds)
        self._events = EventsAside(spill, scope.campaign_id)
        self._report = VerifyReport(self._answers.report, {place: end for place, (_, end) in self._bounds.items()})

    def run(self, figures: LedgerFigures) -> VerifyReport:
        starts = {place: held.low for place, held in self._reader.ranges(set(EVENT_TOPICS.values())).items()}
        self._refuse_unknown_campaign(figures, starts)
        letters = {place: held.low for place, held in self._reader.ranges([DEAD_LETTER_TOPIC]).items()}
        self._read({**starts, **letters})
        judge = Judge(
            self._reader, partial(waits_in_outbox, self._connection), self._answers, self._commands, self._positions,
            self._bounds, whole=self._whole, letters_were_deleted=any(letters.values()),
        )  # fmt: skip
        self._report.notes += judge.run()
        self._judge_beyond()
        self._check_topics()
        deleted = sorted(f"{topic}/{number} begins at {low}" for (topic, number), low in starts.items() if low > 0)
        if not self._scope.whole:
            self._report.compared = False
            self._report.notes.append("a part of the events tells no row's state: the ledger's rows were not compared")
        elif deleted:
            self._report.compared = False
            self._answers.report.blame(f"earlier events were deleted, so no row can be told: {', '.join(deleted)}")
        else:
            compare_all(self._report, self._events, self._spill, figures)
        return self._report

    def _read(self, starts: dict[Place, int]) -> None:
        """Read on until all below the positions are answered, or no more can come."""

        def waits(place: Place) -> bool:
            return waits_in_outbox(self._connection, place, *self._bounds[place])

        read_published(self._reader, starts, self._take, self._short, waits, self._stop, PUBLISHED_SECONDS_MAX)

    def _expected(self, place: Place) -> int:
        first, end = self._bounds[place]
        position = self._positions[place]
        return position.decided + position.dead_lettered if self._scope.whole else end - first

    def _short(self) -> list[Place]:
        return [place for place, marks in self._answers.marks.items() if marks.count < self._expected(place)]

    def _take(self, record: Message, place: Place, offset: int) -> None:
        if place[0] == DEAD_LETTER_TOPIC:
            told = dict(readable_headers(record) or ())  # what can't be read says of no record, and is blamed for it
            headers = {name: value for name, value in told.items() if isinstance(value, bytes)}
            self._answers.take_dead_letter(headers, place, offset)
            return
        value = record.value() or b""
        self._report.events_read += 1
        try:
            event: EventData = orjson.loads(value)
            if self._answers.take_event(event, place, offset) and self._whole:
                self._events.take(event, value)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._answers.report.blame(f"{place[0]}/{place[1]}/{offset} is no event with the id of a command")

    def _judge_beyond(self) -> None:
        """What is answered beyond the snapshot's positions was decided since: by now a position tells of it."""
        decided = next_offsets(self._connection)
        now = self._reader.ranges(EVENT_TOPICS)
        for place, (offset, (found_in, partition), at) in self._answers.beyond.undecided(decided):
            text = f"{found_in}/{partition}/{at} answers {place[0]}/{place[1]}/{offset}, which nobody has decided"
            there = place in now and offset < now[place].high  # else no position can ever have been past it
            self._answers.report.blame(f"{text}: it was added{', or the position was set back' if there else ''}")
        for place, offset in self._answers.beyond.greatest().items():
            if offset < decided.get(place, 0) and (place not in now or offset >= now[place].high):
                self._answers.report.blame(f"{place[0]}/{place[1]}/{offset} is answered, and no command is there")
        undecided: Counter[str] = self._report.undecided
        for place, held in self._commands.items():
            following = self._positions[place].next_offset if place in self._positions else held.low
            undecided[place[0]] += max(0, held.high - following)

    def _check_topics(self) -> None:
        """A position is of the topic that is there now, and not past its end: what will come there would be skipped."""
        ids = {topic: describe(self._settings, topic).topic_id for topic in sorted(EVENT_TOPICS)}
        for topic, topic_id in ids.items():
            known = {position.topic_id for place, position in self._positions.items() if place[0] == topic}
            if known and known != {topic_id}:
                self._answers.report.blame(
                    f"{topic} was made anew since the ledger decided it: its offsets mean others"
                )
        for place, position in sorted(self._positions.items()):
            # Of records that were deleted the end tells still. One of a topic that was made anew is told above.
            end = self._command_ends.get(place, 0)
            if position.next_offset > end and position.topic_id == ids.get(place[0]):
                text = f"the position is {position.next_offset}, and the topic ends at {end}"
                self._answers.report.blame(f"{place[0]}/{place[1]}: {text}: what comes in between would be skipped")

    def _refuse_unknown_campaign(self, figures: LedgerFigures, starts: dict[Place, int]) -> None:
        """Of a mistyped campaign there are no rows, and these would be equal. One that only events tell of is known."""
        campaign_id = self._scope.campaign_id
        if campaign_id is None or campaign_id in figures.campaigns:
            return
        told: set[str] = set()
        topic = EVENT_TOPICS["campaign.commands"]
        for record in self._reader.read({place: low for place, low in starts.items() if place[0] == topic}):
            with suppress(ValueError, KeyError, TypeError):  # what is no event is blamed where all are read
                event: EventData = orjson.loads(record.value() or b"")
                if event["type"] in CAMPAIGN_TYPES:
                    told.add(event["data"]["campaign_id"])
        if campaign_id not in told:
            raise Refused(f"neither the ledger nor {topic} knows a campaign {campaign_id!r}")

"""The sweeper's loop: look for what is due and whose turn it is, send the commands, wait. One acts; others stand by."""

import threading
import time
from collections.abc import Callable, Sequence

import structlog

from voucher_ledger.metrics.observer import Observer
from voucher_ledger.runtime.command_sender import CommandSender, OutgoingCommand, stamped_by_broker
from voucher_ledger.runtime.errors import NotSetUp, SessionLost, Unreachable
from voucher_ledger.runtime.hangs import TurnWatch
from voucher_ledger.runtime.processor import BACKOFF_SECONDS_MAX, again, lost_setup
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.sweeper.plan import DueRow, RecentlySent, plan
from voucher_ledger.sweeper.store import DueStore
from voucher_ledger.sweeper.turns import Underway, admission, turns

CLAIM_TOPIC = "claim.commands"
ORDER_TOPIC = "order.commands"

ROUND_SECONDS = 0.5
# While a waiting room empties, rounds follow each other faster, each with so many admissions at most: more than the
# claims room decides in that time would only put its claims off. What is underway is no measure, for under a backlog
# admissions are decided as late as all else.
ADMITTING_ROUND_SECONDS = 0.1
ADMISSIONS_A_ROUND_MAX = 6_000
LINE_RESTS_SECONDS_MAX = 60.0
LINE_TRIES_BEFORE_WARNING = 3
STANDBY_SECONDS = 1.0
# The most commands of a topic that wait to be decided: a backlog of due rows is worked off at the rooms' pace.
DUE_ROWS_MAX = 10_000
AGAIN_AFTER_SECONDS = 30.0
# The broker that stamps a command may be this much behind our clock: its record must not be early by it.
CLOCK_MARGIN_MS = 250
_NO_OBSERVER = Observer()

log = structlog.get_logger()


class Sweep:
    """One session: a connection, a producer, and how each topic stamps its records."""

    def __init__(
        self, settings: Settings, recently_sent: RecentlySent, underway: Underway, observer: Observer = _NO_OBSERVER
    ) -> None:
        """Connect to both. Raises Unreachable, NotSetUp."""
        self._recently_sent = recently_sent
        self._underway = underway
        self._observer = observer
        self._by_broker = stamped_by_broker(settings, [CLAIM_TOPIC, ORDER_TOPIC])
        self._store = DueStore(settings)
        self._sender = CommandSender(settings, "sweeper")

    def run(self, stopping: threading.Event, turned: Callable[[], None]) -> None:
        """Wait for the turn, then sweep round after round until `stopping` is set; calls `turned` with each.

        Raises SessionLost.
        """
        self._observer.ready("standing by: another process sweeps")
        while not self._store.take_turn():
            turned()
            if stopping.wait(STANDBY_SECONDS):
                return
        log.info("sweeping")
        self._observer.ready("sweeping")
        while not stopping.is_set():
            turned()
            next_round = time.monotonic() + ROUND_SECONDS
            self.round()
            while self.admit() and time.monotonic() < next_round:
                stopping.wait(ADMITTING_ROUND_SECONDS)
            stopping.wait(max(0.0, next_round - time.monotonic()))

    def round(self) -> int:
        """Send the commands of what is due and not yet asked for; how many. Holds first: theirs become due vouchers."""
        order_ms, due_order_ms = self._times_ms(ORDER_TOPIC)
        sent = self._send(self._store.due_holds(due_order_ms, DUE_ROWS_MAX), order_ms)
        claim_ms, due_claim_ms = self._times_ms(CLAIM_TOPIC)
        sent += self._send(self._store.due_vouchers(due_claim_ms, DUE_ROWS_MAX), claim_ms)
        self._store.mark_swept(min(due_order_ms, due_claim_ms), DUE_ROWS_MAX)
        return sent

    def admit(self) -> bool:
        """Send the admissions of those whose turn has come in the waiting rooms; whether some are underway now."""
        lines = self._store.waiting_lines()
        if not lines:
            return False
        record_time_ms, due_ms = self._times_ms(CLAIM_TOPIC)
        rules = self._store.campaigns({line.campaign_id for line in lines})
        clock_ms = time.monotonic_ns() // 1_000_000
        standings = self._underway.standings(lines, clock_ms)
        for (campaign_id, partition), tries in self._underway.stuck(LINE_TRIES_BEFORE_WARNING).items():
            log.warning("a waiting line does not move", campaign=campaign_id, partition=partition, tries=tries)
        found = turns(lines, rules, standings, due_ms, ADMISSIONS_A_ROUND_MAX)
        commands = [
            OutgoingCommand(
                CLAIM_TOPIC,
                waiting.user_id.encode(),
                admission(turn, waiting, record_time_ms),
                record_time_ms,
                turn.line.partition,
            )
            for turn in found
            for waiting in self._store.places(turn)
        ]
        offsets = self._sender.send(commands)
        self._underway.remember(found, {partition: offset for (_, partition), offset in offsets.items()}, clock_ms)
        return bool(self._underway)

    def close(self) -> None:
        """Leave everything behind."""
        self._sender.close()
        self._store.close()

    def _times_ms(self, topic: str) -> tuple[int, int]:
        """The time that a command sent now carries, and up to when a row must have expired to be due by it."""
        if self._by_broker[topic]:
            now_ms = time.time_ns() // 1_000_000
            return now_ms, now_ms - CLOCK_MARGIN_MS
        record_time_ms = self._store.record_time_ms()
        return record_time_ms, record_time_ms

    def _send(self, due_rows: Sequence[DueRow], record_time_ms: int) -> int:
        now_ms = time.monotonic_ns() // 1_000_000
        expiries = plan(due_rows, self._recently_sent, now_ms, record_time_ms)
        if not expiries:
            return 0
        again = sum(expiry.row in self._recently_sent for expiry in expiries)
        if again:
            log.warning(
                "sent again: not decided since it was sent; does the room run?",
                topic=expiries[0].topic,
                commands=again,
                after_seconds=AGAIN_AFTER_SECONDS,
            )
        self._sender.send(
            [OutgoingCommand(expiry.topic, expiry.key, expiry.value, record_time_ms) for expiry in expiries]
        )
        # Remembered once they are delivered: what failed is sent again by the next session.
        self._recently_sent.remember((expiry.row for expiry in expiries), now_ms)
        return len(expiries)


def new_underway() -> Underway:
    """Nothing underway; it outlives a session, as what was sent does."""
    return Underway(
        round(ROUND_SECONDS * 1000), round(LINE_RESTS_SECONDS_MAX * 1000), round(AGAIN_AFTER_SECONDS * 1000)
    )


def run(settings: Settings, stopping: threading.Event, observer: Observer = _NO_OBSERVER) -> None:
    """Sweep until `stopping` is set. A lost session is followed by another, up to `attempts_max` failures in a row.

    Raises Unreachable or NotSetUp where the first session cannot begin, and after the last attempt what ended it:
    SessionLost where something that the first session found is missing.
    """
    with TurnWatch() as watch:

        def turned() -> None:
            watch.turned()
            observer.turned()

        _sessions(settings, stopping, observer, turned)


def _sessions(settings: Settings, stopping: threading.Event, observer: Observer, turned: Callable[[], None]) -> None:
    """See `run`."""
    recently_sent = RecentlySent(2 * DUE_ROWS_MAX, round(AGAIN_AFTER_SECONDS * 1000))
    underway = new_underway()
    who = log.bind(room="sweeper")
    attempt = 0
    session = Sweep(settings, recently_sent, underway, observer)
    while True:
        began = time.monotonic()
        try:
            session.run(stopping, turned)
            return
        except SessionLost as error:
            attempt = 0 if time.monotonic() - began > BACKOFF_SECONDS_MAX else attempt
            observer.session_lost(error)
            failure = error
        finally:
            session.close()
        attempt = again(who, failure, attempt, settings, stopping)
        while not stopping.is_set():
            turned()
            try:
                session = Sweep(settings, recently_sent, underway, observer)
                break
            except NotSetUp as error:
                attempt = again(who, lost_setup(error), attempt, settings, stopping)
            except (SessionLost, Unreachable) as error:
                attempt = again(who, error, attempt, settings, stopping)
        else:
            return

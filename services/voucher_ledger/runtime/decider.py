"""The decide step: one Postgres transaction a batch, from the fence to COMMIT."""

from collections.abc import Callable, Sequence
from typing import Generic

import psycopg
import structlog

from voucher_ledger.core.demand import Tally
from voucher_ledger.core.envelope import encoder
from voucher_ledger.core.records import Command, Event, Undecidable
from voucher_ledger.ledger.errors import Contended, Straddles
from voucher_ledger.metrics.observer import Laps, Observer
from voucher_ledger.runtime import postgres
from voucher_ledger.runtime.errors import SessionLost
from voucher_ledger.runtime.incoming import dead_letter
from voucher_ledger.runtime.outbox import DeadLetter, Outbox, Share
from voucher_ledger.runtime.positions import Advance, Position, Positions
from voucher_ledger.runtime.room import Room, State
from voucher_ledger.runtime.windows import Windows

Item = Command | DeadLetter

_CONTENTION = (Contended, psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)
# Failures that may be contention or one record's fault (a unique key that was taken, say): after so many a batch is
# halved until one record is left. What is contention for certain does not count.
_FAULTS_MAX = 3
_NO_OBSERVER = Observer()

log = structlog.get_logger()


class Decider(Generic[State]):
    """Decides batches of one room on one connection. `positions` is what this process holds: it moves with COMMIT."""

    def __init__(
        self,
        room: Room[State],
        connection: psycopg.Connection,
        ledger_positions: Positions,
        outbox: Outbox,
        attempts_max: int,
        windows: Windows,
        observer: Observer = _NO_OBSERVER,
    ) -> None:
        self._room = room
        self._connection = connection
        self._ledger_positions = ledger_positions
        self._outbox = outbox
        self._attempts_max = attempts_max
        self._windows = windows
        self._observer = observer
        self._encoders: dict[int, Callable[[Event, Command], bytes]] = {}
        self.positions: dict[int, Position] = {}

    def decide(self, items: Sequence[Item], published: dict[int, int]) -> list[Share]:
        """Decide `items` (in order within each partition) and commit; what is to be published, in order.

        Rows below the `published` offsets are pruned on the way. A record whose decision or rows fail by themselves
        is dead-lettered, its neighbours are decided. Raises SessionLost where the fence or the bound on retries is
        lost, one of postgres.BROKEN where connection or database fail (whether COMMIT went through is for the recovery
        to read), psycopg.ProgrammingError where the database lacks a table, a column or a right.
        """
        faults = 0
        for attempt in range(1, self._attempts_max + 1):
            try:
                return self._transact(items, published, lock=attempt > 1)
            except _CONTENTION as error:
                log.debug("batch decided again", room=self._room.name, attempt=attempt, cause=str(error).strip())
                self._observer.decided_again("contention")
            except Straddles as straddles:
                self._observer.decided_again("tranche")
                place = next(place for place, item in enumerate(items) if item is straddles.command)
                return self._parts(items, place, published)
            except (*postgres.BROKEN, psycopg.ProgrammingError, SessionLost):
                # The connection's fault, the database's or the schema's (a table, column or right that is missing),
                # never one record's: to look for a record at fault would dead-letter all of them.
                raise
            except Exception as error:  # noqa: BLE001 (whatever one record does to a batch, its neighbours are decided)
                faults += 1
                known = {"room": self._room.name, "attempt": attempt, "records": len(items), "cause": repr(error)}
                self._observer.decided_again("fault")
                if faults == _FAULTS_MAX:
                    log.warning("batch failed", **known)
                    return self._isolate(items, published, error)
                # A lease that another process used up meanwhile looks like this too, and is right at the next attempt.
                log.info("batch decided again", **known)
        raise SessionLost(f"a batch of {len(items)} was decided {self._attempts_max} times and contended each time")

    def _isolate(self, items: Sequence[Item], published: dict[int, int], error: Exception) -> list[Share]:
        """Decide the halves one after the other; a single record that still fails is the one at fault."""
        if len(items) > 1:
            return self._parts(items, len(items) // 2, published)
        item = items[0]
        if isinstance(item, DeadLetter):
            raise SessionLost(f"a dead letter could not be stored: {error}") from error
        return self.decide([_dead(item, error)], published)

    def _parts(self, items: Sequence[Item], place: int, published: dict[int, int]) -> list[Share]:
        return [*self.decide(items[:place], published), *self.decide(items[place:], published)]

    def _transact(self, items: Sequence[Item], published: dict[int, int], *, lock: bool) -> list[Share]:
        connection, room, laps = self._connection, self._room, Laps()
        self._windows.before_decide()
        commands = [item for item in items if isinstance(item, Command)]
        state = None if lock else room.prepare(connection, commands, lock=False)
        shares, steps = self._spans(items)
        with connection.transaction():
            self._ledger_positions.advance(connection, self.positions, steps)
            if state is None:
                state = room.prepare(connection, commands, lock=True)
            room.load(connection, state, commands, lock=lock)
            laps.end("load")
            self._decide_each(state, items, shares)
            laps.end("decide")
            for share in shares.values():
                if share.dead_letters:
                    self._ledger_positions.count_dead_letters(connection, share.partition, len(share.dead_letters))
            self._outbox.prune(connection, published)
            self._outbox.insert(connection, shares.values())
            room.write(connection, state)  # last, since it locks the rows that other batches wait for
            laps.end("write")
            self._windows.before_commit()
        laps.end("commit")
        for step in steps:
            self.positions[step.partition].next_offset = step.next_offset
        self._windows.after_commit()
        self._observer.decided(commands, [*shares.values()], laps)
        return list(shares.values())

    def _spans(self, items: Sequence[Item]) -> tuple[dict[int, Share], list[Advance]]:
        """The empty share and the step of each partition in the batch; offsets need not be contiguous."""
        shares: dict[int, Share] = {}
        steps: dict[int, Advance] = {}
        # Records come in runs of one partition, so most of them are told by their neighbour.
        run_start = 0
        for place in range(1, len(items) + 1):
            last = items[place - 1]
            if place < len(items) and items[place].partition == last.partition:
                continue
            partition = last.partition
            # Not the last one's: it may be a dead letter, and with CreateTime times need not ascend.
            time_ms = max([item.time_ms for item in items[run_start:place] if isinstance(item, Command)], default=0)
            share = shares.get(partition)
            if share is None:
                shares[partition] = Share(partition, self.positions[partition].next_offset, last.offset + 1)
                steps[partition] = Advance(partition, last.offset + 1, time_ms, place - run_start)
            else:
                step = steps[partition]
                share.next_offset = step.next_offset = last.offset + 1
                step.record_time_ms = max(step.record_time_ms, time_ms)
                step.records += place - run_start
            run_start = place
        return shares, list(steps.values())

    def _decide_each(self, state: State, items: Sequence[Item], shares: dict[int, Share]) -> None:
        decide, evolve = self._room.decide, self._room.evolve
        partition = items[0].partition
        share, encode = shares[partition], self._encoder(partition)
        topic = self._room.command_topic
        tallies = {number: Tally(topic, number, one.first_offset) for number, one in shares.items()}
        count = tallies[partition].add
        for item in items:
            if item.partition != partition:
                partition = item.partition
                share, encode, count = shares[partition], self._encoder(partition), tallies[partition].add
            if isinstance(item, DeadLetter):
                share.dead_letters.append(item)
                continue
            try:
                event = decide(state, item)
            except Contended:
                raise
            except Undecidable as refusal:
                # Meant so, and no fault of the program that would be worth a traceback for each of a rush of claims.
                share.dead_letters.append(_dead(item, refusal))
                continue
            except Exception as error:
                log.exception("a decision failed", room=self._room.name, partition=partition, offset=item.offset)
                share.dead_letters.append(_dead(item, error))
                continue
            evolve(state, item, event)
            share.events.append(encode(event, item))
            share.keys.append(item.record.key())
            count(item.offset, item.time_ms, event)
        for number, share in shares.items():
            share.sum_up(tallies[number])

    def _encoder(self, partition: int) -> Callable[[Event, Command], bytes]:
        found = self._encoders.get(partition)
        if found is None:
            found = encoder(self._room.name, self._room.command_topic, partition)
            self._encoders[partition] = found
        return found


def _dead(command: Command, error: Exception) -> DeadLetter:
    text = f"the decision failed: {type(error).__name__}: {str(error).strip()[:500]}"
    return dead_letter(command.record, text)

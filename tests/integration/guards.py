"""Takes single guards out of a processor, for the negative controls: without it, the checks must find a fault. And
plants faults in it that must stay one record's own."""

import signal
import threading
from collections.abc import Callable
from typing import Any

from voucher_ledger.claims.store import ClaimsRoom
from voucher_ledger.core.records import Command, Event
from voucher_ledger.runtime import kafka, positions, publisher, recovery, seals, session

WAIT_SECONDS_MAX = 60
_EPOCH = " AND p.epoch = m.epoch"
_EXPECTED_OFFSET = " AND p.next_offset = m.expected"
# The user whose record a planted fault strikes.
STRUCK_USER = "user-000013"


def strike(signal_number: int) -> None:
    """Send this process a signal by way of this thread, which so goes no further: sent to the process, another thread
    may take it, and this one has asked Kafka or Postgres for the next thing by then.
    """
    signal.pthread_kill(threading.get_ident(), signal_number)


def _no_fence() -> None:
    _advance_without(_EPOCH + _EXPECTED_OFFSET)


def _no_epoch() -> None:
    _advance_without(_EPOCH)


def _no_expected_offset() -> None:
    _advance_without(_EXPECTED_OFFSET)


def _advance_without(condition: str) -> None:
    assert condition in positions._ADVANCE
    positions._ADVANCE = positions._ADVANCE.replace(condition, "")


def _no_republish() -> None:
    def take_nothing(self: Any, partition: int, committed: int, next_offset: int) -> list[Any]:  # noqa: ARG001 - the signature of what it replaces
        return []

    recovery.Recovery._unpublished = take_nothing  # type: ignore[method-assign]


def _no_duplicate_check() -> None:
    whole = ClaimsRoom.load

    def forget(self: Any, connection: Any, state: Any, commands: Any, *, lock: bool) -> None:
        whole(self, connection, state, commands, lock=lock)
        state.by_user.clear()

    ClaimsRoom.load = forget  # type: ignore[method-assign]


def _no_stable_offsets() -> None:
    whole = kafka.consumer_config

    def unstable(*arguments: Any, **overrides: Any) -> dict[str, Any]:
        return {**whole(*arguments, **overrides), "isolation.level": "read_uncommitted"}

    session.consumer_config = unstable  # type: ignore[attr-defined]


def _prune_before_publish() -> None:
    def everything(self: session.Session) -> dict[int, int]:
        return {partition: held.next_offset for partition, held in self._decider.positions.items()}

    session.Session._unpruned = everything  # type: ignore[method-assign]


def _throwing_decision() -> None:
    whole = ClaimsRoom.decide

    def throw(state: Any, command: Command) -> Event:
        if command.data["user_id"] == STRUCK_USER:
            raise ZeroDivisionError("planted")
        return whole(state, command)

    ClaimsRoom.decide = staticmethod(throw)


def _broken_deploy() -> None:
    def throw(state: Any, command: Command) -> Event:  # noqa: ARG001 - the signature of what it replaces
        raise ZeroDivisionError("planted")

    ClaimsRoom.decide = staticmethod(throw)


def _poison() -> None:
    def die(state: Any, command: Command) -> Event:
        if command.data["user_id"] == STRUCK_USER:
            strike(signal.SIGKILL)
        return whole(state, command)

    whole = ClaimsRoom.decide
    ClaimsRoom.decide = staticmethod(die)


def _throwing_evolution() -> None:
    whole = ClaimsRoom.evolve

    def throw(state: Any, command: Command, event: Event) -> None:
        whole(state, command, event)
        if command.data["user_id"] == STRUCK_USER:
            raise ZeroDivisionError("planted")

    ClaimsRoom.evolve = staticmethod(throw)


def _refused_row() -> None:
    whole = ClaimsRoom.write

    def spoil(self: ClaimsRoom, connection: Any, state: Any) -> None:
        for voucher in state.granted:
            if voucher.user_id == STRUCK_USER:
                voucher.face_value_minor = -1
        whole(self, connection, state)

    ClaimsRoom.write = spoil  # type: ignore[method-assign]


def _unsealed() -> None:
    def append_nothing(connection: Any, topic: str, rows: Any, kind: str = "batch") -> None:  # noqa: ARG001 - the signature of what it replaces
        return None

    seals.append = append_nothing


def _deaf_producer() -> None:
    whole = kafka.transactional_config

    def deaf(settings: Any, instance: str, trouble: Any) -> dict[str, Any]:  # noqa: ARG001 - the signature of what it replaces
        return whole(settings, instance, lambda _error: None)

    publisher.transactional_config = deaf  # type: ignore[attr-defined]


def _stops_between() -> None:
    sent = []

    class Stopping(publisher.Producer):  # type: ignore[misc, name-defined]
        def send_offsets_to_transaction(self, *arguments: Any) -> None:
            sent.append(arguments)
            if len(sent) == 2:
                self.flush(WAIT_SECONDS_MAX)
                strike(signal.SIGSTOP)
            super().send_offsets_to_transaction(*arguments)

    publisher.Producer = Stopping  # type: ignore[attr-defined]


GUARDS: dict[str, Callable[[], None]] = {
    "fence": _no_fence,
    "epoch": _no_epoch,
    "expected_offset": _no_expected_offset,
    "republish": _no_republish,
    "duplicate_check": _no_duplicate_check,
    "stable_offsets": _no_stable_offsets,
    "prune_after_publish": _prune_before_publish,
    "producer_errors": _deaf_producer,
}
# Faults of one record among its neighbours, and those that strike more.
FAULTS_OF_ONE: dict[str, Callable[[], None]] = {
    "throwing_decision": _throwing_decision,
    "throwing_evolution": _throwing_evolution,
    "refused_row": _refused_row,
}
FAULTS: dict[str, Callable[[], None]] = {
    "broken_deploy": _broken_deploy,
    "poison": _poison,
    # In its second transaction, whose events are on the broker and whose offsets are not.
    "stops_between": _stops_between,
    "unsealed": _unsealed,
    **FAULTS_OF_ONE,
}

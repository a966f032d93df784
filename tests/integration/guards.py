"""Takes single guards out of a processor, for the negative controls: without it, the checks must find a fault."""

from collections.abc import Callable
from typing import Any

from voucher_ledger.claims.store import ClaimsRoom
from voucher_ledger.runtime import kafka, positions, recovery, session

_FENCE = " AND p.epoch = m.epoch AND p.next_offset = m.expected"


def _no_fence() -> None:
    assert _FENCE in positions._ADVANCE
    positions._ADVANCE = positions._ADVANCE.replace(_FENCE, "")


def _no_expected_offset() -> None:
    assert " AND p.next_offset = m.expected" in positions._ADVANCE
    positions._ADVANCE = positions._ADVANCE.replace(" AND p.next_offset = m.expected", "")


def _no_republish() -> None:
    def take_nothing(self: Any, partition: int, committed: int, next_offset: int) -> list[Any]:
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


GUARDS: dict[str, Callable[[], None]] = {
    "fence": _no_fence,
    "expected_offset": _no_expected_offset,
    "republish": _no_republish,
    "duplicate_check": _no_duplicate_check,
    "stable_offsets": _no_stable_offsets,
    "prune_after_publish": _prune_before_publish,
}

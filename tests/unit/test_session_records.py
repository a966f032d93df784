"""Which of the consumed records a session decides, and what it makes of an error among them."""

from typing import Any

import pytest
from confluent_kafka import KafkaError

from voucher_ledger.claims.store import ClaimsRoom
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.runtime.errors import Inconsistent, SessionLost, lost
from voucher_ledger.runtime.positions import Position
from voucher_ledger.runtime.session import Session


class Consumed:
    """A record that no room can decide: only its place matters here."""

    def __init__(self, partition: int, offset: int, error: KafkaError | None = None) -> None:
        self._place = partition, offset
        self._error = error

    def error(self) -> KafkaError | None:
        return self._error

    def partition(self) -> int:
        return self._place[0]

    def offset(self) -> int:
        return self._place[1]

    def timestamp(self) -> tuple[int, int]:
        return (2, 1_000)

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        return b"no command"

    def headers(self) -> list[tuple[str, bytes | None]]:
        return []


class Deciding:
    """Takes for a decider: holds partitions 0 and 1 at these offsets, and keeps the places that it is given."""

    def __init__(self) -> None:
        self.positions = {0: Position(5, 1), 1: Position(0, 1)}
        self.given: list[tuple[int, int]] = []

    def decide(self, items: list[Any], _published: dict[int, int]) -> list[Any]:
        self.given += [(item.partition, item.offset) for item in items]
        return []


class Publishing:
    """Takes for a publisher."""

    published: dict[int, int] = {}  # noqa: RUF012 (nothing is put into it)

    def submit(self, _shares: list[Any]) -> None:
        pass


def session_of(decider: Deciding) -> Any:
    session: Any = Session.__new__(Session)
    session._decider, session._decoder = decider, CommandDecoder(ClaimsRoom.command_topic)
    session._publisher, session._pruned = Publishing(), {}
    return session


def test_what_is_decided_already_or_of_nobody_s_partition_is_left_out() -> None:
    """Records that were fetched before a seek, a partition given up meanwhile, one that comes twice in a fetch."""
    decider = Deciding()
    places = [(0, 3), (0, 4), (0, 5), (0, 5), (0, 7), (2, 0), (1, 0)]
    session_of(decider)._decide([Consumed(*place) for place in places])
    assert decider.given == [(0, 5), (0, 7), (1, 0)]


def test_nothing_is_decided_where_nothing_is_new() -> None:
    decider = Deciding()
    session = session_of(decider)
    session.sound = False
    session._decide([Consumed(0, 4)])
    assert (decider.given, session.sound) == ([], False)


@pytest.mark.parametrize(
    ("code", "means"),
    [
        (KafkaError._AUTO_OFFSET_RESET, Inconsistent),
        (KafkaError.OFFSET_OUT_OF_RANGE, Inconsistent),
        (KafkaError._TRANSPORT, SessionLost),
    ],
)
def test_a_position_outside_its_topic_is_no_lost_session(code: int, means: type[Exception]) -> None:
    """Another session would begin at the same position, again and again."""
    with pytest.raises(means):
        session_of(Deciding())._decide([Consumed(0, 5, KafkaError(code))])
    assert type(lost(KafkaError(code))) is means

"""Which of the consumed records a session decides, and what it makes of an error among them."""

from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition

from voucher_ledger.claims.store import ClaimsRoom
from voucher_ledger.core.validation import CommandDecoder
from voucher_ledger.runtime import kafka, settings, unreadable
from voucher_ledger.runtime.arrivals import Arrivals
from voucher_ledger.runtime.errors import Inconsistent, SessionLost, lost
from voucher_ledger.runtime.incoming import lacks_record
from voucher_ledger.runtime.positions import Position
from voucher_ledger.runtime.session import Session

TOPIC = "claim.commands"
GIVEN = {
    "VOUCHER_LEDGER_KAFKA": "127.0.0.1:1",
    "VOUCHER_LEDGER_POSTGRES": "host=127.0.0.1 port=1",
    "VOUCHER_LEDGER_BATCH_RECORDS_MAX": "100",
}
NOWHERE = settings.load(GIVEN)


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
    session._decider, session._arrivals = decider, Arrivals(NOWHERE, TOPIC, CommandDecoder(TOPIC))
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


class Seeking:
    """Takes for a consumer: keeps where it was told to go on."""

    def __init__(self) -> None:
        self.sought: list[tuple[int, int]] = []

    def seek(self, place: TopicPartition) -> None:
        self.sought.append((place.partition, place.offset))


def test_a_batch_that_can_t_be_decompressed_is_dead_letters_in_parts_and_then_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stopped its partition: one session after the other was lost at it, and each time all others with it."""
    looks: list[int] = []

    def end_of_batch(*place: Any) -> int:
        looks.append(place[-1])
        return 256

    monkeypatch.setattr(unreadable, "end_of_batch", end_of_batch)
    decider = Deciding()
    session = session_of(decider)
    session._consumer, session._room = Seeking(), ClaimsRoom(1)
    bad = Consumed(0, 6, KafkaError(KafkaError._BAD_COMPRESSION))
    for records in ([Consumed(0, 5), bad, bad, Consumed(1, 0)], [bad], [bad], [bad]):
        session._decide(records)
        for partition, offset in decider.given:
            decider.positions[partition] = Position(offset + 1, 1)
    assert decider.given == [(0, 5), *((0, n) for n in range(6, 106)), (1, 0), *((0, n) for n in range(106, 256))]
    assert session._consumer.sought == [(0, 256), (0, 256)], "the second time it told of it after all was passed"
    assert looks == [6]


BAD = KafkaError(KafkaError._BAD_COMPRESSION)


def test_what_can_be_read_after_all_is_no_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bit that was flipped on the way: the client asks again, and has it. That it does so for ever is told."""
    monkeypatch.setattr(unreadable, "end_of_batch", lambda *place: place[-1])
    decider = Deciding()
    session = session_of(decider)
    session._consumer, session._room = Seeking(), ClaimsRoom(1)
    for _ in range(3):
        session._decide([Consumed(0, 5, BAD)])
    assert decider.given == []
    with pytest.raises(SessionLost, match="can be read and can't"):
        session._decide([Consumed(0, 5, BAD)])


def test_a_batch_is_looked_at_from_the_position_on_and_one_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies before the position may be deleted; and each look takes its time, in which nothing is polled."""
    looks: list[tuple[int, int, int]] = []

    def end_of_batch(_settings: Any, _topic: str, partition: int, base: int, start: int) -> int:
        looks.append((partition, base, start))
        return 9

    monkeypatch.setattr(unreadable, "end_of_batch", end_of_batch)
    decider = Deciding()
    session = session_of(decider)
    session._consumer, session._room = Seeking(), ClaimsRoom(1)
    session._decide([Consumed(0, 2, BAD), Consumed(1, 0, BAD)])
    assert looks == [(0, 2, 5)]
    assert decider.given == [(0, n) for n in range(5, 9)]
    assert session._consumer.sought == [(0, 9)]
    session._decide([Consumed(1, 0, BAD)])
    assert looks[1:] == [(1, 0, 0)]


def test_a_larger_fetch_is_taken() -> None:
    wide = settings.load({**GIVEN, "VOUCHER_LEDGER_KAFKA_FETCH_MAX_BYTES": "100000000"})
    configuration = kafka.consumer_config(wide, "claims")
    assert configuration["receive.message.max.bytes"] == 100_000_512
    Consumer(configuration).close()  # the client refuses less
    assert kafka.consumer_config(NOWHERE, "claims")["receive.message.max.bytes"] == kafka.READ_BYTES_MAX


def test_the_letter_of_a_record_that_was_not_read_says_so() -> None:
    (letter,) = unreadable.letters(3, 60, 61, 62)
    assert (letter.partition, letter.offset, letter.key, letter.value, letter.headers) == (3, 61, None, None, [])
    assert "begins at offset 60, can't be decompressed" in letter.error
    assert lacks_record(letter.error)

"""How long `replay verify` and `verify --seals` go on reading: what may still come is waited for, and nothing else."""

from collections.abc import Callable, Collection, Iterable, Mapping
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.records_given import Record
from voucher_ledger.core.records import Place
from voucher_ledger.replay.read_published import read_published

PLACE = ("ledger.dead-letters", 0)
LETTER = "letter"


class Topic:
    """A partition with a letter at offset 4 once it was published; `open_from` is where an open transaction begins."""

    def __init__(self, *, published: bool, open_from: int | None = None) -> None:
        self.reached: dict[Place, int] = {}
        self.published = published
        self.open_from = open_from
        self.reads = 0

    def read(self, starts: Mapping[Place, int]) -> Iterable[Any]:
        self.reads += 1
        end = self.written(starts)[PLACE] if self.open_from is None else self.open_from
        self.reached[PLACE] = end
        return [Record(PLACE, offset) for offset in range(starts[PLACE], end)]

    def written(self, _places: Collection[Place]) -> dict[Place, int]:
        return {PLACE: 5 if self.published else 4}


class Pauses(Event):
    """A stop whose nth wait is the nth of `steps`; one more is none too few."""

    def __init__(self, *steps: Callable[[], None]) -> None:
        super().__init__()
        self._steps = iter(steps)

    def wait(self, timeout: float | None = None) -> bool:
        next(self._steps)()
        return False


def taken(topic: Topic, stop: Pauses, outbox: Callable[[], bool] = lambda: False, seconds_max: float = 60.0) -> bool:
    """Whether the letter was read."""
    offsets: list[int] = []

    def short() -> list[str]:
        return [] if 4 in offsets else [LETTER]

    def take(_record: object, _place: Place, offset: int) -> None:
        offsets.append(offset)

    read_published(topic, {PLACE: 0}, take, short, lambda _key: outbox(), stop, seconds_max)
    assert offsets == list(range(len(offsets))), "each record is read once"
    return 4 in offsets


def test_a_letter_behind_another_rooms_open_transaction_is_waited_for() -> None:
    topic = Topic(published=True, open_from=2)

    def abort() -> None:
        topic.open_from = None

    assert taken(topic, Pauses(lambda: None, abort))


def test_what_leaves_the_outbox_meanwhile_is_looked_for_behind_open_transactions_too() -> None:
    topic = Topic(published=False)

    def publish() -> None:
        topic.published, topic.open_from = True, 4

    def abort() -> None:
        topic.open_from = None

    assert taken(topic, Pauses(publish, lambda: None, abort), outbox=lambda: not topic.published)


@pytest.mark.parametrize(("published", "open_from"), [(True, None), (False, None)])
def test_what_can_not_come_is_not_waited_for(published: bool, open_from: int | None) -> None:
    topic = Topic(published=published, open_from=open_from)
    assert taken(topic, Pauses()) is published
    assert topic.reads == 1


def test_it_is_waited_for_however_long_it_took_to_read_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    topic = Topic(published=True, open_from=2)
    clock = SimpleNamespace(monotonic=lambda: 3_600.0 * topic.reads)
    monkeypatch.setattr("voucher_ledger.replay.read_published.time", clock)

    def abort() -> None:
        topic.open_from = None

    assert taken(topic, Pauses(abort))


def test_a_transaction_that_stays_open_is_waited_for_no_longer_than_agreed() -> None:
    topic = Topic(published=True, open_from=2)
    assert not taken(topic, Pauses(), seconds_max=-1.0)
    assert topic.reads == 1

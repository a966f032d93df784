"""What `dead-letters redrive` and `quarantine` do in which order, how far they read, and what they tell of the rest."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

import orjson
import pytest

from tests.unit.letters_given import LETTER
from voucher_ledger.replay.dead_letters import command
from voucher_ledger.replay.dead_letters.choice import Filter
from voucher_ledger.replay.dead_letters.letters import Letter
from voucher_ledger.replay.dead_letters.marks import Mark, MarkKind, Marks
from voucher_ledger.replay.dead_letters.redrive import Rules
from voucher_ledger.replay.operations import Operation
from voucher_ledger.runtime.settings import Settings

NOWHERE = Settings(kafka="nowhere", postgres="nowhere")
LETTERS = 7


class Selected:
    """Seven letters; it counts how many are read."""

    filter = Filter(places=frozenset([(2, 7)]))

    def __init__(self) -> None:
        self.read = 0

    def spans(self, _settings: Settings) -> list[Any]:
        return []

    def letters(self, *_: Any) -> Iterator[tuple[Letter, Mark | None]]:
        for offset in range(LETTERS):
            self.read += 1
            yield replace(LETTER, offset=offset), None


class Producing:
    """A producer that notes when it is opened and what it is given."""

    def __init__(self, done: list[str]) -> None:
        self._done = done
        self._done.append("producer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self) -> None:
        pass

    def send(self, topic: str, *_: Any, delivered: Any = None, **__: Any) -> None:
        self._done.append(topic)
        if delivered is not None:
            delivered(3, 40)

    def sent(self) -> None:
        pass

    def commit(self) -> None:
        self._done.append("commit")


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened, in its order."""
    made: list[str] = []

    @contextmanager
    def recorded(*_: Any) -> Iterator[Operation]:
        yield Operation("1", "verb", "me@here", "why")

    def read_marks(_settings: Settings) -> Marks:
        made.append("marks")
        return Marks({}, 0)

    monkeypatch.setattr(command, "recorded", recorded)
    monkeypatch.setattr(command, "read_marks", read_marks)
    monkeypatch.setattr(command, "Transactions", lambda *_: Producing(made))
    return made


def marked(selected: Selected, *, apply: bool, count_max: int, json: bool = True) -> None:
    given: Any = selected
    command.mark(
        NOWHERE, given, MarkKind.QUARANTINED, apply=apply, reason="why", count_max=count_max, rate=None, arguments={},
        json=json,
    )  # fmt: skip


@pytest.mark.usefixtures("done")
@pytest.mark.parametrize("apply", [False, True])
@pytest.mark.parametrize(("count_max", "count", "more"), [(3, 3, 4), (7, 7, 0), (10, 7, 0)])
def test_how_many_letters_are_past_the_bound_is_told(
    apply: bool, count_max: int, count: int, more: int, capsys: pytest.CaptureFixture[str]
) -> None:
    marked(Selected(), apply=apply, count_max=count_max)
    told = orjson.loads(capsys.readouterr().out)
    assert (told["quarantined"], told["more"], told["count"]) == (count, more, LETTERS)
    marked(Selected(), apply=apply, count_max=count_max, json=False)
    assert (f"{more} more than --max: run the command again" in capsys.readouterr().out) is bool(more)


@pytest.mark.usefixtures("done")
def test_no_letter_is_read_that_will_not_be_marked() -> None:
    """Once to count them, and once up to the last one."""
    selected = Selected()
    marked(selected, apply=True, count_max=3)
    assert selected.read == LETTERS + 3


def test_the_marks_are_read_once_the_producer_has_settled_what_a_killed_run_left(done: list[str]) -> None:
    """Before that a mark of its last transaction may come yet, and its letters would be driven twice."""
    marked(Selected(), apply=True, count_max=1)
    assert done == ["producer", "marks", "ledger.dead-letter-marks", "commit"]
    done.clear()
    given: Any = Selected()
    command.drive(
        NOWHERE, given, Rules(count_max=1), apply=True, reason="why", rate=None, edit=None, arguments={}, json=True
    )
    assert done == ["producer", "marks", "claim.commands", "ledger.dead-letter-marks", "commit"]

"""A seek moves nothing where a processor came, or the partition moved, between its looks and its fence."""

from types import SimpleNamespace
from typing import Any

import pytest

from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.seek import session
from voucher_ledger.replay.seek.plan import Kind, Plan, Standing
from voucher_ledger.replay.seek.session import SeekSession
from voucher_ledger.replay.seek.skipped import Skipped
from voucher_ledger.replay.seek.standing import Target
from voucher_ledger.runtime.positions import Position
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.runtime.windows import Windows

NOWHERE = Settings(kafka="nowhere", postgres="nowhere")
TARGET = Target("claims", "claim.commands", "claim.events", "user_id", 3, "id", 8)
STANDING = Standing(
    topic="claim.commands", partition=3, decided=50, committed=50, low=0, high=80, answered=49, moved=-1,
    unpublished=0, outbox_end=0,
)  # fmt: skip


class Joining:
    """A group's member that is given its partition at its first poll, and loses it at the one of number `lost_at`."""

    def __init__(self) -> None:
        self.lost_at: int | None = None
        self._polls = 0

    def subscribe(self, _topics: list[str], *, on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        assert on_revoke == on_lost
        self._assigned, self._gone = on_assign, on_lost

    def poll(self, _seconds: float) -> None:
        self._polls += 1
        if self._polls == 1:
            self._assigned(self, [SimpleNamespace(partition=TARGET.partition)])
        if self._polls == self.lost_at:
            self._gone(self, [])

    def consumer_group_metadata(self) -> object:
        return object()

    def assign(self, _places: list[Any]) -> None:
        pass

    def unassign(self) -> None:
        pass


class Seeking:
    """A session whose partition stands at `held` once it is fenced; `found` are the others in the group, look by look.
    What it did is in `done`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, held: int = 50, found: tuple[list[str], ...] = ()) -> None:
        self.done: list[str] = []
        self.consumer = Joining()
        looks = iter(found)
        publisher = SimpleNamespace(
            start=lambda _metadata: self.done.append("publisher"), submit=lambda _shares: self.done.append("submit"),
            drain=lambda _seconds: True,
        )  # fmt: skip
        monkeypatch.setattr(session, "open_client", lambda *_: self.consumer)
        monkeypatch.setattr(session, "Publisher", lambda *_: publisher)
        monkeypatch.setattr(session, "others", lambda *_: next(looks, []))
        monkeypatch.setattr(session, "last_answered", lambda *_: 49)
        connection: Any = None
        self._session = SeekSession(NOWHERE, connection, TARGET, Windows())
        self._session._positions = self._positions(held)
        outbox: Any = SimpleNamespace(after=lambda *_: [], prune=lambda *_: self.done.append("prune"))
        self._session._outbox = outbox

    def _positions(self, held: int) -> Any:
        def raise_epoch(*_: object) -> Position:
            self.done.append("fence")
            return Position(held, 2)

        return SimpleNamespace(raise_epoch=raise_epoch)

    def run(self) -> None:
        self._session.run(STANDING, Plan(Kind.STAY, 50, ()), Skipped())


def test_a_seek_fences_once_it_is_alone_and_then_publishes(monkeypatch: pytest.MonkeyPatch) -> None:
    seeking = Seeking(monkeypatch)
    seeking.run()
    assert seeking.done == ["publisher", "fence", "prune", "submit", "prune"]


@pytest.mark.parametrize(
    ("found", "done"),
    [
        ((["claims-0"],), []),
        (([], ["claims-0"]), ["publisher"]),  # it came while the publisher took its name, which may take seconds
    ],
)
def test_a_processor_that_joins_meanwhile_is_not_fenced(
    found: tuple[list[str], ...], done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seeking = Seeking(monkeypatch, found=found)
    with pytest.raises(Refused, match=r"a processor has joined voucher-ledger-claims meanwhile \(claims-0\)"):
        seeking.run()
    assert seeking.done == done


@pytest.mark.parametrize("lost_at", [2, 3])
def test_a_partition_that_the_group_gives_to_another_is_not_fenced(
    lost_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeking = Seeking(monkeypatch)
    seeking.consumer.lost_at = lost_at
    with pytest.raises(Refused, match="a processor has joined"):
        seeking.run()
    assert "fence" not in seeking.done


@pytest.mark.parametrize("held", [49, 51])
def test_a_partition_that_moved_since_it_was_looked_at_is_left_where_it_is(
    held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was planned, and shown to the operator, rests on where it stood."""
    seeking = Seeking(monkeypatch, held=held)
    with pytest.raises(Refused, match=f"was decided up to {held} meanwhile: look again, then seek"):
        seeking.run()
    assert seeking.done == ["publisher", "fence"]

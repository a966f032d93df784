"""What is missing ends a process at its first session; at a later one it may pass: it is tried again, in bounds."""

import math
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import psycopg
import pytest
from structlog.testing import capture_logs

from voucher_ledger.claims.store import ClaimsRoom
from voucher_ledger.metrics.observer import Observer
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.run.failures import FAILURES, code_of, text_of
from voucher_ledger.runtime import processor, settings
from voucher_ledger.runtime.errors import NotSetUp, SessionLost
from voucher_ledger.runtime.session import Session
from voucher_ledger.sweeper import loop
from voucher_ledger.sweeper.store import DueStore

NOWHERE = settings.load(
    {
        "VOUCHER_LEDGER_KAFKA": "127.0.0.1:1",
        "VOUCHER_LEDGER_POSTGRES": "host=127.0.0.1 port=1",
        "VOUCHER_LEDGER_ATTEMPTS_MAX": "4",
    }
)
MISSING = NotSetUp("Kafka has no topic claim.commands: run `voucher-ledger topics` first")


class Held:
    """An instance name that is always held."""

    name = "claims-0"

    def hold(self) -> None:
        pass

    def __init__(self, *_positional: Any) -> None:
        pass

    def renewed(self, *_positional: Any) -> "Held":
        return self

    def close(self) -> None:
        pass


class Idle:
    """Takes for a publisher or a consumer with nothing to do."""

    def subscribe(self, *_positional: Any, **_named: Any) -> None:
        pass

    def check(self) -> None:
        pass

    def turned(self) -> None:
        pass


class SecondTurn(Exception):
    """A loop has gone round."""


class Starts:
    """What each start of a session finds, in order: an error, or None and the session begins. The first session that
    begins is lost, the one after it ends well. `left` are the starts that were not asked for.
    """

    def __init__(self, *found: Exception | None) -> None:
        self.left = list(found)
        self.begun = self.closed = 0

    def __call__(self, *_positional: Any) -> "Starts":
        error = self.left.pop(0)
        if error is not None:
            raise error
        self.begun += 1
        return self

    sound = False
    topic = None

    def run(self, _stopping: threading.Event, *_turned: Any) -> None:
        if self.begun == 1:
            raise SessionLost("the broker went away")

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(params=["processor", "sweeper"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Starts], None]:
    """Run the processor or the sweeper on such sessions, without the waits between them."""
    monkeypatch.setattr(processor, "BACKOFF_SECONDS", 0)

    def run_on(starts: Starts) -> None:
        if request.param == "sweeper":
            monkeypatch.setattr(loop, "Sweep", starts)
            loop.run(NOWHERE, threading.Event())
        else:
            monkeypatch.setattr(processor, "Session", starts)
            monkeypatch.setattr(processor, "Looks", lambda *_positional: Idle())
            monkeypatch.setattr(processor, "Instance", Held)
            monkeypatch.setattr("gc.freeze", lambda: None)
            monkeypatch.setattr("gc.set_threshold", lambda *_positional: None)
            processor.run(NOWHERE, ClaimsRoom(1), threading.Event())

    return run_on


def test_missing_at_the_first_session_ends_at_once(run: Callable[[Starts], None]) -> None:
    starts = Starts(MISSING, None)
    with pytest.raises(NotSetUp) as ended:
        run(starts)
    assert code_of(ended.value) == ExitCode.USAGE
    assert starts.left == [None]


def test_missing_at_a_later_session_is_tried_again(run: Callable[[Starts], None]) -> None:
    starts = Starts(None, MISSING, MISSING, None)
    run(starts)
    assert (starts.left, starts.begun) == ([], 2)


@pytest.mark.parametrize("sound", [True, False])
def test_attempts_count_anew_after_a_session_that_was_sound(monkeypatch: pytest.MonkeyPatch, sound: bool) -> None:
    left = [None] * 2 * NOWHERE.attempts_max

    class Lost(Starts):
        def run(self, *_positional: Any) -> None:
            self.sound = sound
            if self.left:
                raise SessionLost("the broker went away")

    monkeypatch.setattr(processor, "Session", Lost(*left))
    monkeypatch.setattr(processor, "Looks", lambda *_positional: Idle())
    monkeypatch.setattr(processor, "Instance", Held)
    monkeypatch.setattr(processor, "BACKOFF_SECONDS", 0)
    monkeypatch.setattr("gc.freeze", lambda: None)
    monkeypatch.setattr("gc.set_threshold", lambda *_positional: None)
    with nullcontext() if sound else pytest.raises(SessionLost):
        processor.run(NOWHERE, ClaimsRoom(1), threading.Event())


@pytest.mark.parametrize(
    ("assigned", "idle_seconds", "sound"), [(True, 1, False), (True, 61, True), (False, 61, False)]
)
@pytest.mark.parametrize("standing_by", [True, False])
def test_a_session_is_sound_where_nothing_came_for_long(
    monkeypatch: pytest.MonkeyPatch, assigned: bool, idle_seconds: int, sound: bool, standing_by: bool
) -> None:
    now = 1_000.0
    monkeypatch.setattr("voucher_ledger.runtime.session.time.monotonic", lambda: now)
    session: Any = Session.__new__(Session)
    session._room, session._fatal, session._observer = ClaimsRoom(1), None, Observer()
    session._publisher = None if standing_by else Idle()
    session._consumer, session.sound, session._assigned_seconds = Idle(), False, now if assigned else math.inf
    session._consume = lambda _stopping: []
    session._prune = lambda: None

    def turned() -> None:
        nonlocal now
        if now > 1_000:
            raise SecondTurn
        now += idle_seconds

    with pytest.raises(SecondTurn):
        session._work(threading.Event(), turned)
    assert session.sound is sound


@pytest.mark.parametrize("error", [psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.DataCorrupted])
def test_a_sweeper_whose_database_fails_loses_its_session(error: type[psycopg.Error]) -> None:
    class Failing:
        def execute(self, *_positional: Any) -> None:
            raise error("cannot execute UPDATE in a read-only transaction")

    books = DueStore.__new__(DueStore)
    books._connection = cast("Any", Failing())
    with pytest.raises(SessionLost, match="Postgres: cannot execute UPDATE"):
        books.mark_swept(0, 1)


@pytest.mark.parametrize("error", [psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.FeatureNotSupported])
def test_a_failing_database_is_told_in_one_line(error: type[psycopg.Error]) -> None:
    told = error("cannot execute UPDATE\nin a read-only transaction")
    assert isinstance(told, FAILURES)
    assert (code_of(told), text_of(told)) == (
        ExitCode.FAILED, "Postgres: cannot execute UPDATE; in a read-only transaction"
    )  # fmt: skip


def test_missing_for_all_attempts_ends_with_a_code_that_a_restart_may_change(run: Callable[[Starts], None]) -> None:
    starts = Starts(None, *[MISSING] * NOWHERE.attempts_max)
    with pytest.raises(SessionLost, match="run `voucher-ledger topics` first") as ended:
        run(starts)
    assert code_of(ended.value) == ExitCode.FAILED
    assert ended.value.__cause__ is MISSING
    assert starts.left == [MISSING], "the lost session was the first of the attempts"


def test_a_lost_session_is_told_with_its_room_and_instance(run: Callable[[Starts], None]) -> None:
    """Four rooms log into one stream: "session lost" alone did not say whose."""
    with capture_logs() as lines:
        run(Starts(None, MISSING, None))
    lost = [line for line in lines if "session lost" in line["event"]]
    assert len(lost) == 2
    for line in lost:
        told = (line.get("room"), line.get("instance"))
        assert told in (("claims", "claims-0"), ("sweeper", None))


def test_a_lost_session_is_closed_before_the_wait_for_the_next(
    run: Callable[[Starts], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its member of the group would hold its partitions for as long."""
    starts = Starts(None, None)
    closed_at_waits: list[int] = []

    def waited(*_positional: Any) -> int:
        closed_at_waits.append(starts.closed)
        return 1

    for module in (processor, loop):
        monkeypatch.setattr(module, "again", waited)
    run(starts)
    assert closed_at_waits == [1]

"""How far a rehearsal was copied, what of it is left to copy, and when that is committed."""

from types import SimpleNamespace
from typing import Any

import pytest

from voucher_ledger.produce.pace import Pace
from voucher_ledger.replay.bounds import UNBOUNDED
from voucher_ledger.replay.copying import command, copier, progress
from voucher_ledger.replay.copying.pairs import Pair
from voucher_ledger.replay.copying.rewrite import Rewriter
from voucher_ledger.replay.copying.schedule import Schedule
from voucher_ledger.replay.errors import Refused
from voucher_ledger.replay.reading import Span
from voucher_ledger.runtime.settings import Settings


@pytest.mark.parametrize(
    ("originals", "copies", "missed"),
    [
        ([], [], None),
        ([3, 5], [3, 5], None),  # a transaction's marker lies between
        ([3, 5], [3, 4, 5], None),
        ([3, 5], [5], 3),
        ([3, 5], [3], 5),
        ([3, 5, 9], [3, 9], 5),
        ([3], [], 3),
    ],
)
def test_a_record_without_a_copy_is_found(originals: list[int], copies: list[int], missed: int | None) -> None:
    assert progress.first_missed(originals, copies) == missed


class Night:
    """A record of night/0, copied to rehearsal/0 or not."""

    def __init__(self, offset: int, *headers: tuple[str, bytes]) -> None:
        self.offset = lambda: offset
        self.headers = lambda: list(headers)


@pytest.mark.parametrize(
    ("start", "end", "low", "missed"),
    [
        (10, 20, 0, None),
        (12, 18, 0, None),
        (0, 10, 0, 0),  # the copies are of a later range
        (0, 20, 0, 0),
        (10, 31, 0, 20),  # they are of two ranges, and this one spans the gap
        (8, 20, 0, 8),
        (0, 20, 7, None),  # the target's first copies were deleted: whether there were any, no one can tell
        (0, 10, 7, None),
    ],
)
def test_a_range_that_was_not_copied_is_refused_though_the_name_has_later_copies(
    start: int, end: int, low: int, missed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told as copied: 0 records, exit code 0."""
    here, there = Settings(kafka="here", postgres="nowhere"), Settings(kafka="there", postgres="nowhere")
    name = ("rehearsal", b"night")
    copied = [*range(10, 20), *range(30, 40)]
    held = [Night(offset, name, ("rehearsal_source", f"night/0/{offset}".encode())) for offset in copied]

    def records(settings: Settings, parts: list[Span]) -> Any:
        (part,) = parts
        if settings is there:
            return iter([Night(0), *held])
        # What is a copy itself is left out, and so is missing nowhere.
        return iter([Night(offset, *([name] if offset == 9 else [])) for offset in range(part.start, part.end)])

    monkeypatch.setattr(progress, "records", records)
    monkeypatch.setattr(progress, "spans", lambda *_: [Span("rehearsal", 0, low, 50)])
    asked = (here, there, Pair("night", "rehearsal"), Span("night", 0, start, end), "night")
    if missed is None:
        progress.refuse_holes(*asked)
        return
    with pytest.raises(Refused, match=rf"offsets after night/0/{missed}, .* another --name"):
        progress.refuse_holes(*asked)


@pytest.mark.parametrize(("there", "refused"), [(7, True), (8, False), (9, False)])
def test_a_target_with_fewer_partitions_than_its_source_is_refused(
    there: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only lower ones hold something now, too: later records of the same rehearsal would find no place."""
    settings = Settings(kafka="here", postgres="nowhere")
    partitions = {"night": 8, "rehearsal": there}

    def known_topics(_client: object, _kafka: str, wanted: list[str]) -> dict[str, Any]:
        return {topic: SimpleNamespace(partitions=range(partitions[topic])) for topic in wanted}

    held = [Span("night", 0, 0, 5)]
    monkeypatch.setattr(command, "known_topics", known_topics)
    monkeypatch.setattr(command, "open_reader", lambda _settings: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(command, "spans", lambda *_: held)
    request = command.Request(
        "night", [Pair("night", "rehearsal")], UNBOUNDED, UNBOUNDED, frozenset(), None, None, 1.0, None, None, None,
        None, original_times=True,
    )  # fmt: skip
    if not refused:
        assert command._parts(settings, settings, request) == held
        return
    with pytest.raises(Refused, match="rehearsal has 7 partitions, night has 8"):
        command._parts(settings, settings, request)


class Original:
    """A record of night/0 with a time."""

    def __init__(self, time_ms: int) -> None:
        self.topic, self.partition, self.offset = lambda: "night", lambda: 0, lambda: time_ms
        self.key, self.value, self.headers = lambda: b"ana", lambda: b"{}", list
        self.timestamp = lambda: (1, time_ms)


def test_what_is_sent_is_committed_before_a_long_wait_for_the_next_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """An open transaction holds up who reads the copies, for as long as last night nothing happened."""
    done: list[object] = []
    now = [1_000.0]

    def sleep(seconds: float) -> None:
        done.append(round(seconds, 3))
        now[0] += seconds

    producer: Any = SimpleNamespace(
        begin=lambda: done.append("begin"), send=lambda *_, **__: done.append("send"), flush=lambda: None,
        commit=lambda: done.append("commit"),
    )  # fmt: skip
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
    monkeypatch.setattr(copier, "time", clock)
    schedule, pace = Schedule(1.0, clock.monotonic), Pace(None, clock.monotonic)
    copied = copier.Copier(producer, {"night": "rehearsal"}, Rewriter("night"), schedule, pace, original_times=True)
    records: Any = [(time_ms, Original(time_ms)) for time_ms in (0, 10, 60_000)]
    assert list(copied.run(records, None)) == [2, 3]
    # A wait of some milliseconds is no reason to commit: there would be a transaction a record.
    assert done == ["begin", "send", 0.01, "send", "commit", 59.99, "begin", "send", "commit"]

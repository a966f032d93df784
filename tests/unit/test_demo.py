"""The demo's measurements, texts and its directory."""

import os
import signal
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from voucher_ledger.demo import command
from voucher_ledger.demo.directory import MARK, NotADemos, made_fresh
from voucher_ledger.demo.figures import Result, Throughput
from voucher_ledger.demo.tables import _dead_letters
from voucher_ledger.demo.watch import Position, Sample, Takeover, Watch, claims_phase, mean_per_second, rates_per_second
from voucher_ledger.replay.answers import Outcome

SAMPLES = [Sample(0.0, 0), Sample(1.0, 0), Sample(2.0, 100), Sample(2.5, 400), Sample(3.0, 900), Sample(9.0, 1_000)]


def test_a_rate_is_measured_over_a_second_at_least() -> None:
    assert rates_per_second(SAMPLES) == [0.0, 100.0, pytest.approx(400 / 1.5), 800.0, pytest.approx(100 / 6)]
    assert rates_per_second([]) == rates_per_second(SAMPLES[:1]) == [0.0]


def test_the_claims_phase_goes_from_the_first_claim_decided_to_the_last() -> None:
    assert claims_phase(SAMPLES, 900) == SAMPLES[1:5]
    assert mean_per_second(claims_phase(SAMPLES, 900)) == 450.0
    assert mean_per_second(SAMPLES[:1]) == mean_per_second([]) == 0.0


class Processors:
    """Two instances, of which one is started again under another pid."""

    def __init__(self) -> None:
        self.pids = {"claims-0": 11, "claims-1": 12}

    def pid_of(self, instance: str) -> int | None:
        return self.pids.get(instance)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> tuple[Watch, Processors, list[str], list[tuple[int, int]]]:
    said: list[str] = []
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr("voucher_ledger.runtime.postgres.connect", lambda *_arguments, **_options: None)
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    monkeypatch.setattr("voucher_ledger.demo.watch.time", SimpleNamespace(monotonic=lambda: 10.0))
    processors = Processors()
    settings: Any = type("Settings", (), {"postgres": ""})
    return Watch(settings, processors, 100, said.append), processors, said, killed  # type: ignore[arg-type]


def positions(*rows: tuple[int, int, str]) -> Sequence[Position]:
    """Positions of partitions 0, 1 and so on: (next_offset, epoch, instance)."""
    return [Position(number, *row, 0.0) for number, row in enumerate(rows)]


def test_the_takeover_is_timed_to_the_first_decision_of_the_successor(watched: Any) -> None:
    watching, processors, said, killed = watched
    watching._look(positions((700, 1, "claims-0"), (800, 1, "claims-1")), 8.0)  # of the day before
    watching._look(positions((740, 1, "claims-0"), (850, 1, "claims-1")), 9.0)
    assert killed == []
    watching._look(positions((750, 1, "claims-0"), (850, 1, "claims-1")), 9.9)
    assert killed == [(11, signal.SIGKILL)]
    processors.pids["claims-0"] = 13
    watching._look(positions((760, 1, "claims-0"), (890, 1, "claims-1")), 10.1)  # the dead one's COMMIT was under way
    watching._look(positions((760, 2, "claims-0"), (899, 1, "claims-1")), 10.5)  # taken over, nothing decided yet
    assert said[1:] == []
    watching._look(positions((761, 2, "claims-0"), (899, 1, "claims-1")), 10.8)
    assert watching.takeover == Takeover("claims-0", 11, 13, 100, 10.8 - 10.0)
    assert said == [
        "killed claims-0 (pid 11) after 100 claims, without warning (SIGKILL)",
        "claims-0 (pid 13) has taken over: decided again after 0.8 s",
    ]


def test_nobody_is_killed_while_a_process_is_between_two_lives(watched: Any) -> None:
    watching, processors, _, killed = watched
    processors.pids.clear()
    watching._look((), 8.0)
    watching._look(positions((500, 1, "claims-0")), 9.0)
    assert killed == []


def test_alike_dead_letters_are_one_row_of_a_bounded_width() -> None:
    reasons = {'key "a" is not data.user_id "b"': 2, 'key "c" is not data.user_id "d"': 3, "x" * 71: 1}
    result: Any = SimpleNamespace(verified=SimpleNamespace(answers=SimpleNamespace(dead_letter_reasons=reasons)))
    out = StringIO()
    Console(file=out, width=120).print(_dead_letters(result))
    rows = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "│ key … is not data.user_id … │ 5 │" in rows
    assert f"│ {'x' * 69}… │ 1 │" in rows


def test_only_a_demos_own_directory_is_deleted(tmp_path: Path) -> None:
    directory = tmp_path / "below" / "demo"
    with made_fresh(directory):
        (directory / "kafka.log").write_text("of the first demo")
        with pytest.raises(NotADemos, match="another demo plays in"), made_fresh(directory):
            pass
    with made_fresh(directory):
        pass
    assert [path.name for path in directory.iterdir()] == [MARK]
    (tmp_path / "precious").write_text("")
    with pytest.raises(NotADemos, match="choose another --dir"), made_fresh(tmp_path):
        pass
    with pytest.raises(NotADemos), made_fresh(tmp_path / "precious"):
        pass
    assert (tmp_path / "precious").exists()


@pytest.mark.parametrize(("claims", "cards"), [(999, 500), (10**9, 10**9)])
def test_cards_that_would_not_all_be_claimed_are_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], claims: int, cards: int
) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert command.run(tmp_path / "demo", claims=claims, cards=cards, seed=1, keep=False) == 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert "fewer than two for each" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_a_machine_too_slow_for_the_day_is_told_as_that_and_not_as_a_lost_card() -> None:
    scenario: Any = SimpleNamespace(cards=10)
    tally: Any = SimpleNamespace(granted=9)
    books: Any = SimpleNamespace(granted=9)
    early, usual = (
        SimpleNamespace(answers=SimpleNamespace(outcomes={Outcome("voucher.rejected", reason, False): 5}))
        for reason in ("ended", "sold_out")
    )
    told = [
        Result(scenario, tally, books, verified, Throughput(1, 1, 1), None, 0).granted_exactly()  # type: ignore[arg-type]
        for verified in (early, usual)
    ]
    assert [verdict.passed for verdict in told] == [False, False]
    assert ["try `voucher-ledger demo" in verdict.found for verdict in told] == [True, False]

"""Where a demo plays: servers that are up, processors that run, a console to tell it on; and how a day is played."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import psycopg
from rich.console import Console

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC
from voucher_ledger.demo.closing import Closing, ClosingWhenOut
from voucher_ledger.demo.processors import Processors, ProcessorsDied
from voucher_ledger.demo.screen import Screen, moment
from voucher_ledger.demo.watch import Watch
from voucher_ledger.produce.sender import Sender
from voucher_ledger.runtime import migrations, postgres, topics
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.simulate.play import play
from voucher_ledger.simulate.scenario import Scenario
from voucher_ledger.simulate.tally import Tally
from voucher_ledger.status.read import Reader

CLAIMS_PROCESSES = 2
SETTLE_SECONDS_MAX = 30.0
SETTLE_LOOK_SECONDS = 0.2
ROOMS_SECONDS_MAX = 60.0
ROOMS_LOOK_SECONDS = 0.1

_ROOMS = "SELECT count(DISTINCT topic) FROM ledger.position"


class Interrupted(Exception):
    """Ctrl-C or SIGTERM."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a play needs; `stop` ends it early."""

    settings: Settings
    connection: psycopg.Connection
    processors: Processors
    console: Console
    stop: Event

    def say(self, line: str) -> None:
        """Print a line."""
        self.console.print(line, highlight=False)

    def raise_when_interrupted(self) -> None:
        """Raise Interrupted once `stop` is set."""
        if self.stop.is_set():
            raise Interrupted

    def play_day(
        self, scenario: Scenario, seed: int, *, rate: float, kill_after: int | None = None
    ) -> tuple[Tally, Watch]:
        """Play a day to its end, sending at most `rate` claims a second, and kill a processor once `kill_after` claims
        are decided.
        """
        self.say(
            f"{scenario.campaign_id}: {scenario.claims:,} claims for {scenario.cards:,} cards, vouchers live "
            f"{scenario.voucher_ttl_s} s, holds {scenario.hold_ttl_s} s"
        )
        with (
            Screen(scenario, self.console) as screen,
            Watch(self.settings, self.processors, kill_after, screen.say) as watch,
            Sender(self.settings) as sender,
        ):
            if not watch.await_holders(CLAIMS_PROCESSES, self.stop):
                raise Interrupted
            closing = _closing(scenario, sender, watch, screen.say)

            def on_progress(tally: Tally) -> None:
                self.processors.check()
                watch.check()
                closing.look(tally)
                screen.show(moment(tally, watch))

            tally = play(self.settings, scenario, seed, on_progress, self.stop, rate=rate)
        self.raise_when_interrupted()
        return tally, watch

    def finish(self) -> int:
        """Wait until all is decided and published (what is not by then, the checks will find), and stop the processors;
        their exit code.
        """
        reader = Reader(self.settings, application="demo")
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        try:
            while time.monotonic() < deadline and not self.stop.wait(SETTLE_LOOK_SECONDS):
                partitions = reader.snapshot().partitions
                if all(place.lag_records == 0 and place.unpublished_records == 0 for place in partitions):
                    break
        finally:
            reader.close()
        self.raise_when_interrupted()
        self.say("stopping the processors, then reading all topics and auditing the ledger")
        return self.processors.stop()


@contextmanager
def built(settings: Settings, directory: Path, console: Console, stop: Event) -> Iterator[Stage]:
    """Tables and topics made, and processors running for the length of the block."""
    with postgres.connect(settings.postgres, application="demo") as connection:
        applied = migrations.migrate(connection)
        made, _ = topics.ensure_topics(settings)
        console.print(f"{len(applied)} migrations applied, {len(made)} topics made", highlight=False)
        if stop.is_set():
            raise Interrupted
        with Processors(settings, directory, CLAIMS_PROCESSES) as processors:
            stage = Stage(settings, connection, processors, console, stop)
            _await_rooms(stage)
            stage.say(f"processors started; the live page: http://{processors.page}/")
            yield stage


def _await_rooms(stage: Stage) -> None:
    """Wait until each room has taken its partitions: vouchers must not expire while nobody takes orders yet.

    Raises ProcessorsDied where one has not begun within ROOMS_SECONDS_MAX.
    """
    deadline = time.monotonic() + ROOMS_SECONDS_MAX
    while stage.connection.execute(_ROOMS).fetchone() != (len(COMMANDS_BY_TOPIC),):
        stage.processors.check()
        if time.monotonic() > deadline:
            raise ProcessorsDied(f"not every room has begun within {ROOMS_SECONDS_MAX:.0f} s")
        stage.stop.wait(ROOMS_LOOK_SECONDS)
        stage.raise_when_interrupted()


def _closing(scenario: Scenario, sender: Sender, watch: Watch, say: Callable[[str], None]) -> Closing | ClosingWhenOut:
    if scenario.when_empty == "queue":
        return ClosingWhenOut(scenario, sender, say)
    return Closing(scenario, sender, watch, say)

"""Plays a scenario against the running processors: sends the day's commands, reads the answers, reacts to them."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from threading import Event
from typing import Any

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC, EVENTS_BY_TOPIC
from voucher_ledger.core.wording import counted
from voucher_ledger.produce.pace import Pace
from voucher_ledger.produce.records import TimedCommand
from voucher_ledger.produce.sender import Sender, Undelivered
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.simulate.follow import Answers
from voucher_ledger.simulate.plan import claims, opening
from voucher_ledger.simulate.react import Users
from voucher_ledger.simulate.scenario import Scenario, command_prefix
from voucher_ledger.simulate.tally import Tally
from voucher_ledger.simulate.waiting import WaitingRoom

CHUNK_COMMANDS_MAX = 2_000
PROGRESS_SECONDS = 0.5
# How long no answer may come while some are due. A processor that was killed is back well within it.
STALL_SECONDS_MAX = 120.0
# Where records were lost on the way, so long a silence says that nothing else will be answered.
_LOSS_SECONDS = 10.0
_IDLE_SECONDS = 0.1

_SOURCE_OF_OWN = b'"source":"voucher-ledger/simulate"'


class Stalled(Exception):
    """Answers are due and none comes."""


class CampaignTaken(Exception):
    """The campaign was opened before, so the figures of this play would not be its own."""


def play(
    settings: Settings,
    scenario: Scenario,
    seed: int,
    on_progress: Callable[[Tally], None],
    stop: Event,
    *,
    rate: float | None = None,
) -> Tally:
    """Play the whole scenario; the tally when every command is answered (or `stop` is set: then what there is so far).

    Args:
        settings: where Kafka is.
        scenario: what to play.
        seed: which of its variants.
        on_progress: called about twice a second with the tally, which goes on changing afterwards.
        stop: ends the play early.
        rate: at most so many of the day's commands a second; reactions come on top.

    Raises:
        Unreachable: Kafka does not answer.
        NotSetUp: a topic does not exist.
        Stalled: answers are due and none has come for STALL_SECONDS_MAX.
        CampaignTaken: the campaign exists already.
        Undelivered, AnswersLost: Kafka failed for good in the middle.
        ValueError: the rate is not above 0.
    """
    pace = Pace(rate, time.monotonic)
    tally = Tally(command_prefix(scenario, seed), scenario.campaign_id)
    if scenario.when_empty == "queue":
        tally.waiting_room = WaitingRoom()
        on_delivered = tally.count_delivery
    else:
        on_delivered = None
    sender = Sender(settings, record_times=scenario.record_times, on_delivered=on_delivered)
    sender.require_topics([*COMMANDS_BY_TOPIC, *EVENTS_BY_TOPIC])
    with Answers(settings) as answers, sender:
        player = _Player(tally, scenario, seed, sender, answers, on_progress, stop)
        player.send(list(opening(scenario, seed)))
        player.await_answers()
        player.tally.phase = "claims"
        player.play_all(claims(scenario, seed), pace)
        player.tally.phase = "answers"
        player.await_answers(expiries=scenario.await_expiries)
        sender.finish()
        player.finish()
    return player.tally


class _Player:
    """One loop for all: send some, read some, react. One thread, so that nothing is shared."""

    def __init__(
        self,
        tally: Tally,
        scenario: Scenario,
        seed: int,
        sender: Sender,
        answers: Answers,
        on_progress: Callable[[Tally], None],
        stop: Event,
    ) -> None:
        self.tally = tally
        self._scenario = scenario
        self._users = Users(scenario, seed)
        self._sender = sender
        self._answers = answers
        self._on_progress = on_progress
        self._stop = stop
        self._began_seconds = self._answered_seconds = time.monotonic()
        self._progress_seconds = 0.0

    def send(self, commands: Sequence[TimedCommand]) -> None:
        """Send, and count what will be answered: rubbish has another source."""
        self._sender.send(commands)
        for command in commands:
            if command.value is not None and _SOURCE_OF_OWN in command.value[:512]:
                self.tally.sent[command.topic] += 1
            else:
                self.tally.rubbish += 1

    def play_all(self, commands: Iterator[TimedCommand], pace: Pace) -> None:
        """Send the day's commands at the pace, reacting to answers all the while."""
        size = pace.chunk(CHUNK_COMMANDS_MAX)
        while not self._stop.is_set() and (chunk := list(islice(commands, size))):
            self.send(chunk)
            due_seconds = time.monotonic() + pace.wait_seconds(len(chunk))
            self._follow(0.0)
            while (left_seconds := due_seconds - time.monotonic()) > 0 and not self._stop.is_set():
                self._follow(min(left_seconds, _IDLE_SECONDS))

    def await_answers(self, *, expiries: bool = False) -> None:
        """Go on until every command is answered, and with `expiries` until no voucher is open and nobody waits."""
        self._answered_seconds = time.monotonic()
        while not self._stop.is_set() and (self.tally.unanswered > 0 or (expiries and self._open())):
            self._follow(_IDLE_SECONDS)
            if self.tally.opening_refused is not None:
                raise CampaignTaken(
                    f"campaign {self._scenario.campaign_id} could not be opened: {self.tally.opening_refused}; "
                    "give the play a campaign of its own"
                )
            self._raise_when_stalled(expiries)

    def finish(self) -> None:
        """Report for the last time."""
        self.tally.phase = "stopped" if self._stop.is_set() else "done"
        self._report()

    def _open(self) -> bool:
        return self.tally.open_vouchers > 0 or self.tally.held_vouchers > 0 or self.tally.waiting > 0

    def _follow(self, wait_seconds: float) -> None:
        events = self._answers.read(wait_seconds)
        if events:
            self._answered_seconds = time.monotonic()
            self.send(self._reactions(events))
        else:
            self._sender.send([])
        if time.monotonic() - self._progress_seconds >= PROGRESS_SECONDS:
            self._report()

    def _reactions(self, events: list[dict[str, Any]]) -> list[TimedCommand]:
        reactions: list[TimedCommand] = []
        for event in events:
            self.tally.count_answer(event)
            reactions += self._users.react(event)
        return reactions

    def _report(self) -> None:
        self._progress_seconds = time.monotonic()
        self.tally.elapsed_seconds = self._progress_seconds - self._began_seconds
        self.tally.undelivered = self._sender.failed
        self._on_progress(self.tally)

    def _raise_when_stalled(self, expiries: bool) -> None:
        silent_seconds = time.monotonic() - self._answered_seconds
        # A voucher's or a hold's last moment may be this far away, with nothing to answer until then.
        patience = self._scenario.voucher_ttl_s + self._scenario.hold_ttl_s if expiries else 0
        if self._sender.failed and silent_seconds > _LOSS_SECONDS:
            raise Undelivered(
                f"{counted(self._sender.failed, 'record')} not delivered, so their answers will not come: "
                f"{'; '.join(self._sender.failures[:3])}"
            )
        if silent_seconds > STALL_SECONDS_MAX + patience:
            raise Stalled(
                f"no answer for {silent_seconds:.0f} s: {counted(self.tally.unanswered, 'command')} unanswered, "
                f"{self.tally.open_vouchers:,} vouchers and {self.tally.held_vouchers:,} holds open; are the "
                "processors and the sweeper running? (`voucher-ledger run all`, `voucher-ledger status`)"
            )

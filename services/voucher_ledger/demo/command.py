"""What `voucher-ledger demo` does."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import psycopg
from rich.console import Console

from voucher_ledger.demo.closing import Closing
from voucher_ledger.demo.directory import NotADemos, made_fresh
from voucher_ledger.demo.figures import Books, Result, read_books, throughput
from voucher_ledger.demo.processors import Processors, ProcessorsDied
from voucher_ledger.demo.screen import Screen, moment
from voucher_ledger.demo.tables import print_result
from voucher_ledger.demo.watch import Watch
from voucher_ledger.dev import cluster
from voucher_ledger.dev.cluster import Endpoints
from voucher_ledger.dev.errors import EmbeddedServerError
from voucher_ledger.produce.sender import Sender, Undelivered
from voucher_ledger.replay.topic_reader import Unread
from voucher_ledger.replay.verify import verify
from voucher_ledger.run.exit_codes import INTERRUPTED, ExitCode
from voucher_ledger.run.single import stop_on_signals
from voucher_ledger.runtime import migrations, postgres, topics
from voucher_ledger.runtime.errors import Unreachable
from voucher_ledger.runtime.settings import PREFIX, Settings, load
from voucher_ledger.simulate.follow import AnswersLost
from voucher_ledger.simulate.play import CampaignTaken, Stalled, play
from voucher_ledger.simulate.scenario import Scenario
from voucher_ledger.simulate.tally import Tally
from voucher_ledger.status.read import Reader

CLAIMS_PROCESSES = 2
# A small demo is spread over so long a time that there is a middle in which to kill.
PLAY_SECONDS_MIN = 8
# Claims are sent at most so fast: what two cores keep up with, the generator, Kafka and Postgres on them too.
SENT_A_SECOND_MAX = 15_000
# How long vouchers live: longer than all claims take, so that none comes back while they are decided.
VOUCHER_SECONDS_MIN = 15
CLAIMS_A_SECOND_MIN = 12_000
HOLD_SECONDS = 10
SETTLE_SECONDS_MAX = 30.0
SETTLE_LOOK_SECONDS = 0.2
_FAILURES = (ProcessorsDied, Stalled, CampaignTaken, Undelivered, AnswersLost, Unread, psycopg.Error)


class Interrupted(Exception):
    """Ctrl-C or SIGTERM."""


def run(directory: Path, *, claims: int, cards: int, seed: int, keep: bool) -> int:
    """Play the grey-release day on a fresh Kafka and Postgres in `directory` and print what happened.

    Returns:
        0 every check passed; 1 one failed; 2 usage; 3 Kafka or Postgres did not start or answer; 130 interrupted.
    """
    began_seconds = time.monotonic()
    # Where nothing says how wide it is, lines are as long as the widest table.
    console = Console() if sys.stdout.isatty() else Console(width=140)
    stop = stop_on_signals()
    try:
        scenario = _scenario(claims, cards)
        with made_fresh(directory), ExitStack() as stack:
            stack.callback(cluster.down, directory)
            endpoints = _servers(directory, console)
            result = _demo(scenario, seed, directory, endpoints, console, stop)
            print_result(result, console)
            if keep:
                stack.pop_all()
                _explain_kept(directory, endpoints, console)
    except (ValueError, NotADemos) as error:
        return _fail(error, ExitCode.USAGE)
    except EmbeddedServerError as error:
        return _fail(error, error.exit_code)
    except Unreachable as error:
        return _fail(error, ExitCode.UNREACHABLE)
    except (Interrupted, *_FAILURES) as error:
        if stop.is_set():  # what fails then was stopped on purpose
            return _fail("interrupted; all that it started is stopped", INTERRUPTED)
        return _fail(error, ExitCode.CHECK_FAILED)
    verdict = "[bold green]all checks passed[/]" if result.passed else "[bold red]the demo failed[/]"
    console.print(f"{verdict}, {time.monotonic() - began_seconds:.0f} s in all", highlight=False)
    return ExitCode.DONE if result.passed else ExitCode.CHECK_FAILED


def _scenario(claims: int, cards: int) -> Scenario:
    """The day. Raises ValueError where not every card would find a claimant."""
    if claims < 2 * cards:
        raise ValueError(f"{claims:,} claims for {cards:,} cards: with fewer than two for each, cards could be left")
    return Scenario(
        begin_ms=time.time_ns() // 1_000_000,
        claims=claims,
        cards=cards,
        voucher_ttl_s=VOUCHER_SECONDS_MIN + claims // CLAIMS_A_SECOND_MIN,
        hold_ttl_s=HOLD_SECONDS,
        await_expiries=True,
    )


def sent_a_second_max(scenario: Scenario) -> float:
    """How many claims a second are sent, at most."""
    return min(SENT_A_SECOND_MAX, scenario.claims / PLAY_SECONDS_MIN)


def _servers(directory: Path, console: Console) -> Endpoints:
    endpoints = cluster.up(directory, lambda line: console.print(line, style="dim", highlight=False, soft_wrap=True))
    console.print(f"Kafka at {endpoints.kafka} and Postgres are up", highlight=False)
    return endpoints


def _demo(
    scenario: Scenario, seed: int, directory: Path, endpoints: Endpoints, console: Console, stop: Event
) -> Result:
    """Everything between the start of the servers and their end."""
    addresses = {f"{PREFIX}KAFKA": endpoints.kafka, f"{PREFIX}POSTGRES": endpoints.postgres}
    settings = load(addresses)
    with postgres.connect(settings.postgres, application="demo") as connection:
        applied = migrations.migrate(connection)
        made, _ = topics.ensure_topics(settings)
        console.print(f"{len(applied)} migrations applied, {len(made)} topics made", highlight=False)
        _raise_when_interrupted(stop)
        with Processors(settings, directory, CLAIMS_PROCESSES) as processors:
            tally, watch = _play(scenario, seed, settings, processors, console, stop)
            _settle(settings, connection, stop)
            _raise_when_interrupted(stop)
            console.print("stopping the processors, then reading all topics and auditing the ledger", highlight=False)
            exit_code = processors.stop()
        books: Books = read_books(connection, scenario.campaign_id)
        verified = verify(settings, stop)
    return Result(
        scenario,
        tally,
        books,
        verified,
        throughput(watch.samples, scenario.claims, sent_a_second_max(scenario)),
        watch.takeover,
        exit_code,
    )


def _play(
    scenario: Scenario, seed: int, settings: Settings, processors: Processors, console: Console, stop: Event
) -> tuple[Tally, Watch]:
    """Play the day and kill a processor while cards are being granted."""
    console.print(
        f"processors started; {scenario.claims:,} claims for {scenario.cards:,} cards, vouchers live "
        f"{scenario.voucher_ttl_s} s, holds {scenario.hold_ttl_s} s",
        highlight=False,
    )
    with (
        Screen(scenario, console) as screen,
        Watch(settings, processors, scenario.cards * 3 // 4, screen.say) as watch,
        Sender(settings) as sender,
    ):
        if not watch.await_holders(CLAIMS_PROCESSES, stop):
            raise Interrupted
        closing = Closing(scenario, sender, watch, screen.say)

        def on_progress(tally: Tally) -> None:
            processors.check()
            watch.check()
            closing.look(tally)
            screen.show(moment(tally, watch))

        tally = play(settings, scenario, seed, on_progress, stop, rate=sent_a_second_max(scenario))
    _raise_when_interrupted(stop)
    return tally, watch


def _settle(settings: Settings, connection: psycopg.Connection, stop: Event) -> None:
    """Wait until all is decided and published; what is not by then, the checks will find."""
    reader = Reader(settings, connection)
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    try:
        while time.monotonic() < deadline and not stop.wait(SETTLE_LOOK_SECONDS):
            partitions = reader.snapshot().partitions
            if all(place.lag_records == 0 and place.unpublished_records == 0 for place in partitions):
                return
    finally:
        reader.close()


def _raise_when_interrupted(stop: Event) -> None:
    if stop.is_set():
        raise Interrupted


def _explain_kept(directory: Path, endpoints: Endpoints, console: Console) -> None:
    lines = (
        "",
        "Kafka and Postgres go on running. To look around:",
        f"  export {PREFIX}KAFKA={endpoints.kafka}",
        f"  export {PREFIX}POSTGRES='{endpoints.postgres}'",
        "  voucher-ledger status",
        "  voucher-ledger audit",
        f'  psql "${PREFIX}POSTGRES" -c "TABLE ledger.balance"',
        f"To stop them: voucher-ledger dev down --dir {directory}",
    )
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _fail(reason: object, code: int) -> int:
    print(f"voucher-ledger demo: {reason}", file=sys.stderr)
    return code

"""What `voucher-ledger demo` does."""

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import psycopg
from rich.console import Console

from voucher_ledger.demo.directory import NotADemos, made_fresh
from voucher_ledger.demo.grey_release import GreyRelease
from voucher_ledger.demo.processors import ProcessorsDied
from voucher_ledger.demo.second_wave import SecondWave
from voucher_ledger.demo.stage import Interrupted, Stage, built
from voucher_ledger.dev import cluster
from voucher_ledger.dev.cluster import Endpoints
from voucher_ledger.dev.errors import EmbeddedServerError
from voucher_ledger.produce.sender import Undelivered
from voucher_ledger.replay.errors import Unread
from voucher_ledger.run.exit_codes import INTERRUPTED, ExitCode
from voucher_ledger.run.failures import failed
from voucher_ledger.run.single import stop_on_signals
from voucher_ledger.runtime.settings import PREFIX, load
from voucher_ledger.simulate.follow import AnswersLost
from voucher_ledger.simulate.play import CampaignTaken, Stalled

_FAILURES = (ProcessorsDied, Stalled, CampaignTaken, Undelivered, AnswersLost, Unread, psycopg.Error)


class Play(Protocol):
    """What a scenario has to do on a stage."""

    def play(self, stage: Stage) -> bool:
        """Play it and print what came of it; whether all holds that must."""


# By name; each is made of (claims, cards, seed), of which the first two may be left to it.
SCENARIOS: dict[str, Callable[[int | None, int | None, int], Play]] = {
    "grey-release": GreyRelease,
    "second-wave": SecondWave,
}


def run(
    directory: Path,
    *,
    claims: int | None,
    cards: int | None,
    seed: int,
    keep: bool,
    scenario: str = "grey-release",
) -> int:
    """Play one of SCENARIOS on a fresh Kafka and Postgres in `directory` and print what happened.

    Returns:
        0 every check passed; 1 one failed; 2 usage; 3 Kafka or Postgres did not start; 130 interrupted.

    Raises Unreachable.
    """
    began_seconds = time.monotonic()
    # Where nothing says how wide it is, lines are as long as the widest table.
    console = Console() if sys.stdout.isatty() else Console(width=140)
    stop = stop_on_signals()
    try:
        play = SCENARIOS[scenario](claims, cards, seed)
        with made_fresh(directory), ExitStack() as stack:
            stack.callback(cluster.down, directory)
            endpoints = _servers(directory, console)
            settings = load({f"{PREFIX}KAFKA": endpoints.kafka, f"{PREFIX}POSTGRES": endpoints.postgres})
            with built(settings, directory, console, stop) as stage:
                passed = play.play(stage)
            if keep:
                stack.pop_all()
                _explain_kept(directory, endpoints, console)
    except (ValueError, NotADemos) as error:
        return failed(error, ExitCode.USAGE)
    except EmbeddedServerError as error:
        return failed(error, error.exit_code)
    except (Interrupted, *_FAILURES) as error:
        if stop.is_set():  # what fails then was stopped on purpose
            return failed("interrupted; all that it started is stopped", INTERRUPTED)
        return failed(error, ExitCode.CHECK_FAILED)
    verdict = "[bold green]all checks passed[/]" if passed else "[bold red]the demo failed[/]"
    console.print(f"{verdict}, {time.monotonic() - began_seconds:.0f} s in all", highlight=False)
    return ExitCode.DONE if passed else ExitCode.CHECK_FAILED


def _servers(directory: Path, console: Console) -> Endpoints:
    endpoints = cluster.up(directory, lambda line: console.print(line, style="dim", highlight=False, soft_wrap=True))
    addresses = f"Kafka at {endpoints.kafka} and Postgres at {endpoints.postgres} are up"
    console.print(addresses, highlight=False, markup=False, soft_wrap=True)
    return endpoints


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

"""What `voucher-ledger simulate` does."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from voucher_ledger.core.wording import counted
from voucher_ledger.produce.sender import Undelivered
from voucher_ledger.run import interrupts
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.run.failures import failed
from voucher_ledger.runtime.settings import Settings
from voucher_ledger.simulate.catalogue import Wave
from voucher_ledger.simulate.follow import AnswersLost
from voucher_ledger.simulate.play import CampaignTaken, Stalled, play
from voucher_ledger.simulate.report import Reporter, tables
from voucher_ledger.simulate.scenario import Scenario
from voucher_ledger.simulate.tally import Tally


class _Stop(threading.Event):
    """Ends a play; `number` is the signal that set it."""

    number = 0


@interrupts.ended_by_signals()
def run(
    settings: Settings,
    *,
    claims: int = 300_000,
    cards: int = 50_000,
    seed: int = 1,
    rate: float | None = None,
    campaign_id: str | None = None,
    voucher_ttl_s: int = 60,
    hold_ttl_s: int = 5,
    await_expiries: bool = False,
    record_times: bool = False,
    wave: Wave = 1,
) -> int:
    """Play the campaign's day on the running processors and print what came of it; the arguments are the scenario's.

    Without `campaign_id` the campaign is named after the seed and the moment, so that each play has one of its own.

    Returns:
        0 every command was delivered and answered; 1 some were not; 2 usage; 130 interrupted, 143 terminated.

    Raises NotSetUp, Unreachable.
    """
    now_ms = time.time_ns() // 1_000_000
    try:
        scenario = Scenario(
            begin_ms=now_ms,
            campaign_id=f"grey-release-{seed}-{now_ms}" if campaign_id is None else campaign_id,
            claims=claims,
            cards=cards,
            voucher_ttl_s=voucher_ttl_s,
            hold_ttl_s=hold_ttl_s,
            await_expiries=await_expiries,
            record_times=record_times,
            wave=wave,
        )
        with _interruptible() as stop, Reporter(scenario, sys.stderr) as reporter:
            tally = play(settings, scenario, seed, reporter.update, stop, rate=rate)
    except ValueError as error:
        return failed(error, ExitCode.USAGE)
    except (Stalled, CampaignTaken, Undelivered, AnswersLost) as error:
        return failed(error, ExitCode.CHECK_FAILED)
    except KeyboardInterrupt as error:
        word, code = interrupts.told(error)
        return failed(f"{word} again, ended at once; what was delivered is decided all the same", code)
    return _judge(tally, stop.number)


def _judge(tally: Tally, signal_number: int) -> int:
    """Print the figures; the exit code, which names the signal (0: none) that ended the play early."""
    console = Console()
    for table in tables(tally):
        console.print(table)
    left = f"{counted(tally.undelivered, 'record')} not delivered, {counted(tally.unanswered, 'command')} unanswered"
    if signal_number:
        word, code = interrupts.told_of(signal_number)
        return failed(
            f"{word}, the rest of the day was not sent: {left}; what was delivered will still be decided", code
        )
    if tally.undelivered or tally.unanswered:
        return failed(left, ExitCode.CHECK_FAILED)
    return ExitCode.DONE


@contextmanager
def _interruptible() -> Iterator[_Stop]:
    """An event that Ctrl-C and SIGTERM set, so that a play ends with its figures; a second one ends it at once."""
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request_stop(number: int, _frame: object) -> None:
        stop.number = number
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, request_stop)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

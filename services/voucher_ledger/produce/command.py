"""What `voucher-ledger produce` does."""

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TextIO

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC
from voucher_ledger.core.wording import counted
from voucher_ledger.produce.answers import COMMANDS_AWAITED_MAX, Answers
from voucher_ledger.produce.bar import Bar
from voucher_ledger.produce.lines import BadLine, LineChecker, read
from voucher_ledger.produce.pace import Pace
from voucher_ledger.produce.records import TimedCommand
from voucher_ledger.produce.sender import Sender, Undelivered
from voucher_ledger.run import interrupts
from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.run.failures import failed
from voucher_ledger.runtime.settings import Settings

BAD_LINES_SHOWN_MAX = 20
UNANSWERED_SHOWN_MAX = 20
AWAIT_SECONDS = 30.0
# Below this a wait costs more than it evens out: the pace makes it up with the next records.
_WAIT_SECONDS_MIN = 0.005
_AWAITED_AT_MOST = f"--await follows {COMMANDS_AWAITED_MAX:,} at most"


@dataclass(slots=True)
class _Outcome:
    """What became of a source so far; `interrupted` is the exit code where a signal ended it."""

    sent: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    stopped: str | None = None
    interrupted: int | None = None


class _BadLines:
    """Shows the first BAD_LINES_SHOWN_MAX bad lines as `NAME:LINE: reason` and counts them all."""

    def __init__(self, name: str, errors: TextIO) -> None:
        self.count = 0
        self._name = name
        self._errors = errors

    def add(self, line: BadLine) -> None:
        self.count += 1
        if self.count <= BAD_LINES_SHOWN_MAX:
            print(f"{self._name}:{line.number}: {line.reason}", file=self._errors)

    def close(self) -> None:
        if self.count > BAD_LINES_SHOWN_MAX:
            print(f"{self._name}: and {counted(self.count - BAD_LINES_SHOWN_MAX, 'more bad line')}", file=self._errors)


@interrupts.ended_by_signals()
def run(
    settings: Settings,
    source: Path,
    *,
    rate: float | None = None,
    topic: str | None = None,
    skip_invalid: bool = False,
    event_time: bool = False,
    await_seconds: float | None = None,
) -> int:
    """Send the commands in `source` (`-`: standard input), one JSON object a line, and await their delivery.

    A file is checked whole before anything is sent, and refused whole where a line is bad. A pipe can't be read twice:
    each line is checked and sent as it comes, and the first bad one ends it. `skip_invalid` passes bad lines over.

    Args:
        settings: where Kafka is.
        source: a file, or `-`.
        rate: at most so many commands a second.
        topic: take only commands of this topic (by default the type decides).
        skip_invalid: report bad lines and go on.
        event_time: use each command's `time` as its timestamp, for topics with CreateTime.
        await_seconds: once all are delivered, wait so long at most for their answers and print each; for at most
            COMMANDS_AWAITED_MAX commands. None: do not wait.

    Returns:
        0 all delivered (and answered, none refused, where answers are awaited); 1 a bad line, a record not delivered,
        a command refused or not answered in time; 2 usage; 130 interrupted, 143 terminated.

    Raises NotSetUp, Unreachable.
    """
    try:
        checker = LineChecker(topic)
        pace = Pace(rate, time.monotonic)
    except ValueError as error:
        return failed(str(error), ExitCode.USAGE)
    name = "stdin" if str(source) == "-" else str(source)
    try:
        with nullcontext(sys.stdin.buffer) if name == "stdin" else source.open("rb") as stream:
            commands = None
            if stream.seekable() and not skip_invalid:
                commands, bad = _check(name, stream, checker)
                if bad:
                    return failed(
                        f"{name}: nothing was sent: {counted(bad, 'bad line')} (--skip-invalid sends the others)",
                        ExitCode.CHECK_FAILED,
                    )
                if await_seconds is not None and commands > COMMANDS_AWAITED_MAX:
                    why = f"{commands:,} commands; {_AWAITED_AT_MOST}"
                    return failed(f"{name}: nothing was sent: {why}", ExitCode.USAGE)
            items, bar = read(stream, checker), Bar("sending", commands)
            return _send(settings, name, items, bar, pace, topic, skip_invalid, event_time, await_seconds)
    except KeyboardInterrupt as error:
        word, code = interrupts.told(error)
        return failed(f"{name}: {word} before anything was sent", code)
    except OSError as error:
        return failed(f"cannot read {name}: {error.strerror or error}", ExitCode.USAGE)


def _check(name: str, stream: BinaryIO, checker: LineChecker) -> tuple[int, int]:
    """Check a whole file and go back to where it was; how many of its lines are commands, and how many are bad."""
    start = stream.tell()
    commands = 0
    bad_lines = _BadLines(name, sys.stderr)
    for item in read(stream, checker):
        if isinstance(item, BadLine):
            bad_lines.add(item)
        else:
            commands += 1
    bad_lines.close()
    stream.seek(start)
    return commands, bad_lines.count


def _send(
    settings: Settings,
    name: str,
    items: Iterator[TimedCommand | BadLine],
    bar: Bar,
    pace: Pace,
    topic: str | None,
    skip_invalid: bool,
    event_time: bool,
    await_seconds: float | None,
) -> int:
    # Made first: an answer may be there before the delivery is reported.
    with nullcontext() if await_seconds is None else Answers(settings) as answers:
        bad_lines = _BadLines(name, sys.stderr)
        outcome = _Outcome()
        began_seconds = time.monotonic()
        sender = Sender(settings, record_times=event_time, on_delivered=answers.delivered if answers else None)
        sender.require_topics(list(COMMANDS_BY_TOPIC) if topic is None else [topic])
        with bar, sender:
            try:
                for command in _commands(items, bad_lines, skip_invalid):
                    if answers is not None and sender.accepted == COMMANDS_AWAITED_MAX:
                        raise Undelivered(f"{_AWAITED_AT_MOST}: send the rest in a call of its own")
                    sender.send([command])
                    outcome.sent[command.topic] += 1
                    bar.update(sender.accepted)
                    if (wait_seconds := pace.wait_seconds(1)) >= _WAIT_SECONDS_MIN:
                        sender.wait(wait_seconds)
            except Undelivered as error:
                outcome.stopped = str(error)
            except KeyboardInterrupt as error:
                outcome.stopped, outcome.interrupted = interrupts.told(error)
        bad_lines.close()
        outcome.bad = bad_lines.count
        code = _report(name, sender, outcome, time.monotonic() - began_seconds, skip_invalid)
        if answers is None or await_seconds is None or outcome.interrupted is not None:
            return code
        return max(code, _await(name, answers, await_seconds))


def _await(name: str, answers: Answers, seconds_max: float) -> int:
    """Print each answer as it comes, and in the end what is missing."""
    awaited = len(answers.unanswered)
    refused, interrupted = 0, None
    try:
        for answer in answers.await_all(seconds_max):
            refused += answer.refused
            print(answer, flush=True)
    except KeyboardInterrupt as error:
        interrupted = interrupts.told(error)
    missing = list(answers.unanswered)
    print(f"{awaited - len(missing):,} of {awaited:,} answered, {refused:,} of them refused")
    for place in missing[:UNANSWERED_SHOWN_MAX]:
        print(f"not answered: {place}", file=sys.stderr)
    word, code = interrupted or (f"not answered within {seconds_max:g} s", ExitCode.CHECK_FAILED)
    if missing or interrupted:
        how = f"{word} with {len(missing):,} not answered" if interrupted else f"{len(missing):,} {word}"
        later = "they are delivered, and are decided once the processors of their room come to them"
        return failed(f"{name}: {how}: {later} (`voucher-ledger status`)", code)
    if refused:
        return failed(f"{name}: {refused:,} refused: they changed nothing", ExitCode.CHECK_FAILED)
    return ExitCode.DONE


def _commands(
    items: Iterator[TimedCommand | BadLine], bad_lines: _BadLines, skip_invalid: bool
) -> Iterator[TimedCommand]:
    for item in items:
        if isinstance(item, TimedCommand):
            yield item
            continue
        bad_lines.add(item)
        if not skip_invalid:
            return


def _report(name: str, sender: Sender, outcome: _Outcome, seconds: float, skip_invalid: bool) -> int:
    for failure in sender.failures:
        print(f"not delivered: {failure}", file=sys.stderr)
    delivered = sender.accepted - sender.failed
    by_topic = ", ".join(f"{count:,} to {topic}" for topic, count in sorted(outcome.sent.items())) or "none"
    per_second = delivered / max(seconds, 0.001)
    print(
        f"{counted(delivered, 'command')} delivered ({by_topic}) in {seconds:.1f} s, {per_second:,.0f} a second; "
        f"{sender.failed:,} not delivered, {counted(outcome.bad, 'bad line')}"
    )
    if outcome.stopped is not None:
        why, code = f"{name}: stopped early: {outcome.stopped}", outcome.interrupted or ExitCode.CHECK_FAILED
        return failed(f"{why}; sent again from its beginning, what was delivered is answered as a duplicate", code)
    if sender.failed:
        return failed(
            f"{name}: {counted(sender.failed, 'command')} not delivered; send the file again: what was accepted "
            "before is answered as a duplicate",
            ExitCode.CHECK_FAILED,
        )
    if outcome.bad and not skip_invalid:
        return failed(
            f"{name}: stopped at a bad line; the lines before it were sent (--skip-invalid goes on)",
            ExitCode.CHECK_FAILED,
        )
    return ExitCode.DONE

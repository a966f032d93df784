"""The end of a process in which something hangs: loud, with an exit code of its own, and nothing in it can hang too.

A thread within a call of Kafka's client cannot be ended, and not every call keeps its timeout: librdkafka waits
without one in send_offsets_to_transaction while the group's coordinator is away (its issues 5456 and 5511), and may in
close and destroy (its issue 4519). So the process ends as if it were killed, and its successor recovers as from that.
"""

import os
import sys
import threading
import traceback
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn, Self

import structlog

from voucher_ledger.run.exit_codes import ExitCode
from voucher_ledger.runtime.timers import LOOK_SECONDS, unless_ended_within

# Every wait within a turn has a bound that is shorter, or ends the session: only what hangs takes so long.
TURN_SECONDS_MAX = 300.0
TELL_SECONDS_MAX = 2.0
FRAMES_TOLD = 4

log = structlog.get_logger()


def must_end_within(seconds: float, what: str) -> AbstractContextManager[None]:
    """End the process where the body, which is `what`, has not ended after `seconds`."""
    return unless_ended_within(seconds, lambda: end_process(what, seconds))


class TurnWatch:
    """Ends the process where its loop has not turned for `seconds_max`, whatever it is that hangs.

    Looks are counted, not time: a process that was frozen, and goes on, does not hang.
    """

    def __init__(self, seconds_max: float = TURN_SECONDS_MAX) -> None:
        self._seconds_max = seconds_max
        self._looks = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="turn-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()  # it waits for nothing but this

    def turned(self) -> None:
        """The loop has turned."""
        self._looks = 0

    def _look(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._looks += 1
            if self._looks * LOOK_SECONDS > self._seconds_max:
                end_process("the loop", self._seconds_max)


def end_process(what: str, seconds: float) -> NoReturn:
    """Say that `what` has hung for `seconds`, and end at once: no destructor, no thread and no stream is waited for."""
    telling = threading.Thread(target=_tell, args=(what, seconds), daemon=True)
    telling.start()
    telling.join(TELL_SECONDS_MAX)  # whoever reads the log may hang as well
    os._exit(ExitCode.HUNG)


def _tell(what: str, seconds: float) -> None:
    log.critical(
        "something hangs and cannot be ended, so the process ends; the next one recovers as from a kill",
        what=what,
        hung_seconds=seconds,
        exit_code=int(ExitCode.HUNG),
        threads=_threads(),
    )
    sys.stderr.flush()


def _threads() -> dict[str, str]:
    """Where each thread stands, its innermost calls first."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return {
        names.get(ident, str(ident)): " < ".join(
            f"{entry.name} {Path(entry.filename).name}:{entry.lineno}"
            for entry in reversed(traceback.extract_stack(frame)[-FRAMES_TOLD:])
        )
        for ident, frame in sys._current_frames().items()
    }

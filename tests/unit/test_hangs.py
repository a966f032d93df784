"""What hangs ends its process: within a bound, with a line that names it, whatever else hangs too."""

import os
import subprocess
import sys
from contextlib import suppress

import orjson
import pytest

from voucher_ledger.run.exit_codes import ExitCode

# A thread that is no daemon, and nothing reads or ends it: an exit of the usual kind would wait for it.
BEGINNING = """
import threading
from voucher_ledger.runtime import hangs, logs
logs.configure()
hangs.LOOK_SECONDS = 0.01
threading.Thread(target=threading.Event().wait, name="endless").start()
"""
HANGING = {
    "the consumer": "with hangs.must_end_within(0.05, 'the consumer'): threading.Event().wait()",
    "the loop": "with hangs.TurnWatch(0.05): threading.Event().wait()",
}
WAIT_SECONDS_MAX = 60


def start(program: str, stderr: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", BEGINNING + program], stdin=subprocess.DEVNULL, stderr=stderr)


@pytest.mark.parametrize("what", HANGING)
def test_what_hangs_is_named_and_ends_the_process(what: str) -> None:
    process = start(HANGING[what], subprocess.PIPE)
    _, told = process.communicate(timeout=WAIT_SECONDS_MAX)
    assert process.returncode == ExitCode.HUNG
    (line,) = [orjson.loads(line) for line in told.splitlines()]
    assert (line["level"], line["what"], line["exit_code"]) == ("critical", what, ExitCode.HUNG)
    assert line["threads"]["endless"].startswith("wait threading.py:")
    assert "<module> <string>:" in line["threads"]["MainThread"]


def test_it_ends_where_nobody_reads_its_log() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        with suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(65_536))
        os.set_blocking(writing, True)
        assert start(HANGING["the loop"], writing).wait(WAIT_SECONDS_MAX) == ExitCode.HUNG
    finally:
        os.close(reading)
        os.close(writing)


def test_a_body_that_ends_and_a_loop_that_turns_are_left_alone() -> None:
    program = """
with hangs.must_end_within(60, "nothing"), hangs.TurnWatch(0.5) as watch:
    for _ in range(100):
        threading.Event().wait(0.01)
        watch.turned()
hangs.os._exit(0)
"""
    assert start(program, subprocess.DEVNULL).wait(WAIT_SECONDS_MAX) == 0

"""A reader that closes the pipe ends a command as SIGPIPE does, silently: it is no check that failed."""

import os
import subprocess
import sys

import pytest

from voucher_ledger.run.exit_codes import READER_GONE

# What a command prints into a pipe that nobody reads: too little to be written before its end, too much for Python's
# buffer, and by rich.
PRINTS = {
    "at the end": 'print("x")',
    "by and by": 'print("x" * 1_000_000)',
    "a table": 'from rich.console import Console; Console().print("x\\n" * 5_000)',
    "in a judgement": 'print("x", flush=True); raise typer.Exit(1)',
    "and judges": 'print("x"); raise typer.Exit(1)',
    "and fails": 'print("x"); raise Unreachable("away")',
}
PROGRAM = """
import sys, typer
from voucher_ledger import cli
from voucher_ledger.runtime.errors import Unreachable
@cli.app.command()
def prints() -> None:
    {}
sys.exit(cli.main(["prints"]))
"""


def ended(prints: str, out: int) -> tuple[int, str]:
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(prints)],
        stdout=out,
        stderr=subprocess.PIPE,
        env=buffered,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("prints", PRINTS)
def test_a_reader_that_goes_away_ends_a_command_as_sigpipe_does(prints: str) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        code, told = ended(PRINTS[prints], write)
    finally:
        os.close(write)
    assert (code, told.replace("error: away\n", "")) == (READER_GONE, "")


def test_where_somebody_reads_the_exit_code_is_the_commands() -> None:
    assert ended(PRINTS["and judges"], subprocess.DEVNULL) == (1, "")
    assert ended(PRINTS["and fails"], subprocess.DEVNULL) == (3, "error: away\n")

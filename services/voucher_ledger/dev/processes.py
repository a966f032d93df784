"""The embedded servers as operating-system processes: found, started detached, and stopped.

There are no pid files to go stale. A server is known by its command line, which names its data directory: a process
that got a dead server's number has another one, and a copied directory does not answer for its original.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from voucher_ledger.dev.errors import EmbeddedServerError

POLL_SECONDS = 0.02
LAUNCH_SECONDS_MAX = 30.0
KILL_SECONDS_MAX = 10.0
LOG_TAIL_LINES = 15
LOG_TAIL_BYTES_MAX = 16_384
LOG_BYTES_MAX = 20_000_000


def find(program: str, arguments: Sequence[str]) -> psutil.Process | None:
    """The running process of `program` (its file name) whose command line holds `arguments` one after another.

    A forked child carries its parent's command line for a moment, so of parent and child the parent is meant.
    """
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if _matches(command, program, arguments) and process.status() != psutil.STATUS_ZOMBIE:
                found[process.pid] = process
        except psutil.Error:
            continue  # it ended meanwhile, or is another user's and none of ours
    for process in found.values():
        try:
            if process.ppid() not in found:
                return process
        except psutil.Error:
            continue
    return None


def _matches(command: Sequence[str], program: str, arguments: Sequence[str]) -> bool:
    if not command or Path(command[0]).name != program:
        return False
    width = len(arguments)
    wanted = list(arguments)
    return any(list(command[start : start + width]) == wanted for start in range(1, len(command) - width + 1))


def working_in(directory: Path, program: str) -> list[psutil.Process]:
    """The processes of `program` whose working directory is `directory` (a Postgres server and its children)."""
    wanted = str(directory)
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == program and process.cwd() == wanted and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def is_alive(process: psutil.Process) -> bool:
    """Whether the process still runs; one that ended but was not reaped by its parent does not."""
    try:
        # Of many threads the first may be a zombie while others still end, and hold the process' files and ports.
        ended = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
        return process.is_running() and not ended
    except psutil.Error:
        return False


def launch(
    command: Sequence[str],
    log_path: Path,
    working_directory: Path,
    environment: Mapping[str, str],
    user_and_group: tuple[int, int] | None = None,
) -> psutil.Process:
    """Start `command` in a session of its own, its output appended to `log_path`, and return at once.

    Raises EmbeddedServerError when the operating system refuses, or the server has ended by the time it is looked at.
    """
    user, group = user_and_group if user_and_group is not None else (None, None)
    with log_path.open("ab") as log:
        offset = log.tell()
        try:
            # A shell starts it and ends, so the server is nobody's child: it outlives its caller, and is no zombie.
            started = subprocess.run(
                ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=working_directory,
                env=dict(environment),
                start_new_session=True,
                timeout=LAUNCH_SECONDS_MAX,
                check=True,
                user=user,
                group=group,
                extra_groups=[] if user is not None else None,
            )
            return psutil.Process(int(started.stdout))
        except (OSError, ValueError, subprocess.SubprocessError, psutil.Error) as error:
            # A server that ends at once may be gone before it is looked at: its log says why, as for one seen to end.
            reason = "it ended at once" if isinstance(error, psutil.NoSuchProcess) else str(error)
            tail = log_tail(log_path, offset)
            raise EmbeddedServerError(f"cannot start {command[0]}: {reason}. Its log is {log_path}:\n{tail}") from error


def stop(process: psutil.Process, polite_signal: signal.Signals, polite_seconds_max: float) -> bool:
    """Ask the process to end by `polite_signal`; kill it when it has not within `polite_seconds_max`.

    Returns whether it ended by itself. Raises EmbeddedServerError when the kill does not end it or is not allowed.
    """
    _send(process, polite_signal)
    _send(process, signal.SIGCONT)  # a process that a test froze could not hear the first signal
    if wait_until(lambda: not is_alive(process), polite_seconds_max):
        return True
    kill(process)
    return False


def kill(process: psutil.Process) -> None:
    """End the process without its leave, and wait until it is gone. Raises EmbeddedServerError when it stays."""
    _send(process, signal.SIGKILL)
    if not wait_until(lambda: not is_alive(process), KILL_SECONDS_MAX):
        raise EmbeddedServerError(f"process {process.pid} still runs {KILL_SECONDS_MAX:.0f} s after kill -9.")


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as error:
        raise EmbeddedServerError(
            f"process {process.pid} is another user's and cannot be stopped. Run this as that user or as root."
        ) from error


def wait_until(condition: Callable[[], bool], seconds_max: float) -> bool:
    """Whether `condition` came true within `seconds_max`."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def open_log(log_path: Path) -> int:
    """Make the log ready for a new run and return the offset, in bytes, at which the run's lines will begin.

    A log past its limit is moved aside (one generation is kept), so that logs cannot fill the disk.
    """
    size = log_path.stat().st_size if log_path.exists() else 0
    if size <= LOG_BYTES_MAX:
        return size
    log_path.replace(log_path.with_name(log_path.name + ".1"))
    return 0


def log_tail(log_path: Path, from_offset: int) -> str:
    """The last lines of the log since `from_offset` (bytes), for an error message."""
    try:
        with log_path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(from_offset, size - LOG_TAIL_BYTES_MAX))
            lines = log.read().decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]
    except FileNotFoundError:
        lines = []
    return "\n".join(f"  {line}" for line in lines) if lines else "  (nothing was logged)"

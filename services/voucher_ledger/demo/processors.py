"""`voucher-ledger run all` as a child of the demo: started, looked into, one of its processes killed, stopped."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from voucher_ledger.dev import ports
from voucher_ledger.run.supervisor import STOP_SECONDS_MAX
from voucher_ledger.runtime.settings import PREFIX, Settings

LOG_NAME = "processors.log"
PAGE_PORT = 8_081
LOG_LINES_SHOWN = 8
_LOG_BYTES_READ_MAX = 16_384
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class ProcessorsDied(Exception):
    """`run all` has ended by itself."""


class Processors:
    """All rooms, the sweeper and the monitor, each a process below a supervisor that restarts it. As a context it stops
    them all. `page` is the monitor's host:port.
    """

    def __init__(self, settings: Settings, directory: Path, claims_processes: int) -> None:
        """Start them; their log is `directory`/processors.log. They end with this process, however it ends."""
        self._log_path = directory / LOG_NAME
        # The demo's servers are its own: settings for others, such as TLS, must not reach its processors.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        # The usual address where it is free: another demo, or a monitor of one's own, may be there.
        page_port = PAGE_PORT if ports.is_free(PAGE_PORT) else ports.pick_free(set())
        self.page = f"{ports.LOOPBACK}:{page_port}"
        addresses = {
            f"{PREFIX}KAFKA": settings.kafka,
            f"{PREFIX}POSTGRES": settings.postgres,
            f"{PREFIX}MONITOR_ADDRESS": self.page,
        }
        command = [sys.executable, "-m", "voucher_ledger", "--verbose", "run", "all", "--claims", str(claims_processes)]
        with self._log_path.open("ab") as log:
            # In a session of its own: Ctrl-C reaches the demo only, which then stops things in their order.
            self._supervisor = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**environment, **addresses},
                start_new_session=True, preexec_fn=_end_with_parent,  # noqa: PLW1509 (it calls the kernel only)
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Raise ProcessorsDied where the supervisor has given up."""
        code = self._supervisor.poll()
        if code is not None:
            raise ProcessorsDied(f"the processors ended with exit code {code}; {self._log_path} says:\n{self._tail()}")

    def pid_of(self, instance: str) -> int | None:
        """The process that runs under the name `instance`; None while there is none."""
        try:
            for process in psutil.Process(self._supervisor.pid).children():
                try:
                    if process.cmdline()[-2:] == ["--instance", instance]:
                        return int(process.pid)
                except psutil.Error:
                    continue  # it ended meanwhile
        except psutil.NoSuchProcess:
            return None
        return None

    def stop(self) -> int:
        """Let all finish and wait for them; the supervisor's exit code."""
        if self._supervisor.poll() is None:
            self._supervisor.send_signal(signal.SIGTERM)
            try:
                self._supervisor.wait(STOP_SECONDS_MAX + 10)
            except subprocess.TimeoutExpired:
                self._supervisor.kill()  # its workers are told by the kernel, and end by themselves
        return self._supervisor.wait()

    def _tail(self) -> str:
        with self._log_path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _LOG_BYTES_READ_MAX))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-LOG_LINES_SHOWN:])


def _end_with_parent() -> None:
    """Linux: the supervisor gets SIGTERM when the demo is gone, however it went."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

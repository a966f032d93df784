"""Runs `voucher-ledger replay` against a test's world, and kills it where the test wants."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.integration.broker import WAIT_SECONDS_MAX
from tests.integration.world import World
from voucher_ledger import cli

CHILD = Path(__file__).with_name("tool_child.py")
KILLED = -9
# What a killed tool leaves open is waited for by readers; the default is 10 s.
SHORT_TRANSACTIONS = {"VOUCHER_LEDGER_TRANSACTION_TIMEOUT_MS": "3000"}


class Tool:
    """`voucher-ledger replay` of one world."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.world = world
        self._capsys = capsys
        for name, value in world.variables().items():
            monkeypatch.setenv(name, value)

    def run(self, *arguments: str, code: int | None = 0) -> str:
        """Run it in this process; what it printed. Its exit code must be `code` (None: any)."""
        self._capsys.readouterr()
        ended = cli.main(["replay", *arguments])
        printed = self._capsys.readouterr()
        assert code is None or ended == code, f"exit code {ended}: {printed.out}{printed.err}"
        return printed.out + printed.err

    def json(self, *arguments: str, code: int | None = 0) -> dict[str, Any]:
        """Run it with --json; the object that it printed."""
        printed = self.run(*arguments, "--json", code=code).splitlines()
        found: dict[str, Any] = orjson.loads(next(line for line in printed if line.startswith("{")))
        return found

    def kill_in(self, window: str, nth: int, *arguments: str) -> None:
        """Run it in a process of its own, which dies in the window."""
        ended = subprocess.run(
            [sys.executable, str(CHILD), window, str(nth), "replay", *arguments],
            env={**os.environ, **self.world.variables(), **SHORT_TRANSACTIONS}, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=WAIT_SECONDS_MAX, check=False,
        )  # fmt: skip
        assert ended.returncode == KILLED, ended.stdout + ended.stderr

    def outcomes(self) -> list[str]:
        """What the operations journal says of each operation, the oldest first."""
        rows = self.world.connection.execute("SELECT verb || ': ' || outcome FROM ledger.operation ORDER BY started_at")
        return [row[0] for row in rows]

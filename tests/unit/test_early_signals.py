"""A signal while the program is still being imported: the documented exit code, and no traceback."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from voucher_ledger.run.exit_codes import INTERRUPTED, TERMINATED

# A finder that is asked for a module sends the signal at just that moment of the program's way.
CHILD = """
import importlib.abc, os, runpy, signal, sys

# Who is started in the background of a shell ignores it, and so would this.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Sends(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
        return None

sys.meta_path.insert(0, Sends())
sys.argv = ["voucher-ledger", "replay", "verify"]
runpy.run_module("voucher_ledger", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)])
@pytest.mark.parametrize("module", ["voucher_ledger.cli", "typer", "voucher_ledger.replay.verify_command"])
def test_a_signal_amid_the_imports_ends_it_in_silence(
    module: str, number: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOUCHER_LEDGER_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("VOUCHER_LEDGER_POSTGRES", "host=127.0.0.1 port=1")
    child = tmp_path / "child.py"
    child.write_text(CHILD.format(module=module, number=int(number)))
    ended = subprocess.run([sys.executable, child], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", "")

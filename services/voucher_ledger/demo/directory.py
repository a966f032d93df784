"""The demo's own directory: made anew for each demo, so that every figure is that demo's and exact."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voucher_ledger.dev import cluster

# Only a directory with this file in it was made by a demo, and may be deleted by the next.
MARK = "made-by-voucher-ledger-demo"


class NotADemos(Exception):
    """The directory holds something that no demo has made, or another demo plays in it."""


@contextmanager
def made_fresh(directory: Path) -> Iterator[None]:
    """Delete what an earlier demo left in `directory` (its servers are stopped), make it empty, and keep other demos
    away from it for the length of the block.

    Raises NotADemos where it holds anything else or a demo plays in it, EmbeddedServerError where a server can't be
    stopped.
    """
    mark = directory / MARK
    if directory.exists() and not mark.is_file() and (not directory.is_dir() or any(directory.iterdir())):
        raise NotADemos(f"{directory} holds something that no demo has made: choose another --dir, or empty it")
    if mark.is_file():
        with _held(mark):
            cluster.remove(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with _held(mark):
        mark.write_text("The next `voucher-ledger demo` with this directory deletes all that is in it.\n")
        yield


@contextmanager
def _held(mark: Path) -> Iterator[None]:
    """Hold the lock on `mark`; the kernel drops it when its holder dies."""
    with mark.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = f"another demo plays in {mark.parent}: wait for its end, or choose another --dir"
            raise NotADemos(text) from None
        yield

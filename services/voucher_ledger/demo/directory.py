"""The demo's own directory: made anew for each demo, so that every figure is that demo's and exact."""

from pathlib import Path

from voucher_ledger.dev import cluster

# Only a directory with this file in it was made by a demo, and may be deleted by the next.
MARK = "made-by-voucher-ledger-demo"


class NotADemos(Exception):
    """The directory holds something that no demo has made."""


def make_fresh(directory: Path) -> None:
    """Delete what an earlier demo left in `directory` (its servers are stopped), and make it empty.

    Raises NotADemos where it holds anything else, EmbeddedServerError where a server can't be stopped.
    """
    mark = directory / MARK
    if directory.exists() and not mark.is_file() and (not directory.is_dir() or any(directory.iterdir())):
        raise NotADemos(f"{directory} holds something that no demo has made: choose another --dir, or empty it")
    if mark.is_file():
        cluster.remove(directory)
    directory.mkdir(parents=True, exist_ok=True)
    mark.write_text("The next `voucher-ledger demo` with this directory deletes all that is in it.\n")

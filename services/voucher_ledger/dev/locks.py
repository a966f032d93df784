"""A file lock between processes: two `dev up` at once must not start two brokers."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voucher_ledger.dev.errors import EmbeddedServerError, SetupError

POLL_SECONDS = 0.05


@contextmanager
def exclusive(lock_path: Path, wait_seconds: float) -> Iterator[None]:
    """Hold the lock at `lock_path` (made when absent) for the length of the block.

    The kernel drops the lock when its holder dies, so a killed process leaves nothing to clean up.
    Raises SetupError when the file cannot be written, EmbeddedServerError when another holds it for `wait_seconds`.
    """
    try:
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        lock_file = lock_path.open("a")
    except OSError as error:
        raise SetupError(f"cannot write {lock_path}: {error.strerror}. Choose a directory that you may.") from error
    with lock_file:
        deadline = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise EmbeddedServerError(
                        f"another process has held {lock_path} for {wait_seconds:.0f} s. Wait for it or stop it."
                    ) from None
                time.sleep(POLL_SECONDS)
        yield

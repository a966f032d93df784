"""Before a test looks for faults, what could still cause one has happened."""

import subprocess
import time
from collections.abc import Mapping

import psutil
import psycopg

# A takeover under another name waits for the session's timeout, and then for the transaction's (10 s).
SETTLED_SECONDS_MAX = 20.0


def settle(connection: psycopg.Connection, rooms: Mapping[subprocess.Popen[bytes], str]) -> None:
    """Wait until nothing is left that processors which run (`rooms` tells whose they are) might publish, or publish
    again: the outbox of their rooms is empty.

    Without a fault it soon is. Where it is not, the caller finds out why: nobody waits longer than a takeover takes.
    """
    topics = [f"{room.removesuffix('s')}.commands" for process, room in rooms.items() if _runs(process)]
    deadline = time.monotonic() + SETTLED_SECONDS_MAX
    while topics and time.monotonic() < deadline:
        left = connection.execute(
            "SELECT count(*) FROM books.outbox, pg_sleep(0.02) WHERE topic = ANY (%s)", (topics,)
        ).fetchone()
        if left == (0,):
            return


def _runs(process: subprocess.Popen[bytes]) -> bool:
    """Whether it lives, and is not stopped in its tracks."""
    return process.poll() is None and psutil.Process(process.pid).status() != psutil.STATUS_STOPPED

"""What is done once something takes too long."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LOOK_SECONDS = 1.0


@contextmanager
def unless_ended_within(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Do `action`, in a thread of its own, where the body has not ended after `seconds`; it is over when this ends.

    Looks are counted, not time: a process that was frozen, and goes on, did not take so long.
    """
    ended = threading.Event()

    def look() -> None:
        looks = math.ceil(seconds / LOOK_SECONDS)
        if not any(ended.wait(seconds / looks) for _ in range(looks)):
            action()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

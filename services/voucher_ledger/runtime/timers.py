"""What is done once something takes too long."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def unless_ended_within(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Do `action`, in a thread of its own, where the body has not ended after `seconds`; it is over when this ends."""
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()

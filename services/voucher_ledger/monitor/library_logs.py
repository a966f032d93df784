"""What Faust and aiokafka log by the standard library: records like ours, and no flood while Kafka is away."""

import logging
import math
import time
from dataclasses import dataclass

import structlog

from voucher_ledger.runtime.troubles import TOLD_AGAIN_SECONDS

log = structlog.get_logger()


def take() -> None:
    """Log the warnings of libraries from now on."""
    handler = _ToStructlog()
    handler.addFilter(Seldom("aiokafka"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    # It tells of each commit that took longer than a second.
    logging.getLogger("mode.timers").setLevel(logging.ERROR)


@dataclass(slots=True)
class _Place:
    quiet_until: float = -math.inf
    left_out: int = 0


class Seldom(logging.Filter):
    """Of the loggers below `name`, passes each line of code's record once in TOLD_AGAIN_SECONDS: aiokafka tells of a
    broker that is away thousands of times. The next one that passes says how many were left out.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        # By the line of code, of which there are so many; texts name nodes, times and errors without bound.
        self._places: dict[tuple[str, int], _Place] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be logged; it then has `left_out`."""
        if not super().filter(record):
            return True
        place = self._places.setdefault((record.pathname, record.lineno), _Place())
        now = time.monotonic()
        if now < place.quiet_until:
            place.left_out += 1
            return False
        record.left_out = place.left_out
        self._places[record.pathname, record.lineno] = _Place(now + TOLD_AGAIN_SECONDS)
        return True


class _ToStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Log the record's first line, with its logger's name, and how many like it were left out before it."""
        text = record.getMessage().strip().partition("\n")[0]
        left_out = getattr(record, "left_out", 0)
        log.log(record.levelno, text, logger=record.name, **({"left_out": left_out} if left_out else {}))

"""What the events say of the commands that are played: the outcome of that day, as everybody was told it."""

import orjson

from voucher_ledger.core.clock import milliseconds
from voucher_ledger.core.messages import EVENT_TOPIC_BY_COMMAND_TOPIC
from voucher_ledger.replay.bar import Bar
from voucher_ledger.replay.reading import paced, records, spans
from voucher_ledger.replay.what_if.played import Played
from voucher_ledger.replay.what_if.tally import Tally
from voucher_ledger.runtime.settings import Settings


def count_recorded(settings: Settings, played: Played, tally: Tally, rate: float | None) -> tuple[int, int]:
    """Count the events that answer played commands; how many of these have none, and how many records are no events.

    Raises Unread, Unreachable, NotSetUp.
    """
    parts = [part for topic in EVENT_TOPIC_BY_COMMAND_TOPIC.values() for part in spans(settings, topic)]
    answered = strange = 0
    with Bar("the recorded events", sum(part.end - part.start for part in parts)) as bar:
        for number, message in enumerate(paced(records(settings, parts), rate)):
            bar.update(number)
            try:
                event = orjson.loads(message.value() or b"")
                topic, partition, offset, _index = event["id"].split("/")
                if not played.has(topic, int(partition), int(offset)):
                    continue
                tally.add(event["type"], milliseconds(event["time"]), event["data"])
            except (ValueError, KeyError, TypeError, AttributeError):
                strange += 1  # `replay verify` names each
                continue
            answered += 1
    return played.count - answered, strange

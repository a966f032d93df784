"""Finds the event of a command on its topic by a few looks, since events lie in the order of their causes."""

import orjson
from confluent_kafka import Message

from voucher_ledger.replay.answers import EVENT_TOPICS, Cause
from voucher_ledger.replay.topic_reader import Range, TopicReader, offset_of

# After so many guesses by distance the range is halved instead, which ends soon however commands are spread.
_GUESSES_MAX = 8


def find_event(reader: TopicReader, cause: Cause, held: Range) -> Message | None:
    """The event that answers `cause` among those that its partition holds; None where there is none.

    Raises Unread where the topic does not answer.
    """
    place = (EVENT_TOPICS[cause.topic], cause.partition)
    low, high = held
    guess = cause.offset
    looks = 0
    while low < high:
        guess = (low + high) // 2 if looks >= _GUESSES_MAX else min(max(guess, low), high - 1)
        looks += 1
        record = reader.record_from(place, guess)
        found = None if record is None else cause_offset(record)
        if record is None or found is None:
            high = guess  # nothing, or nothing of ours, is there and after it
        elif found == cause.offset:
            return record
        elif found < cause.offset:
            low = offset_of(record) + 1
            guess = low + (cause.offset - found - 1)
        else:
            high = guess
            guess -= found - cause.offset
    return None


def cause_offset(record: Message) -> int | None:
    """The offset of the command that an event answers; None where the record is no event."""
    try:
        return int(orjson.loads(record.value() or b"")["id"].split("/")[2])
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None

"""What is sent in the place of a dead letter: checked against its schema before it may be."""

import orjson

from voucher_ledger.core.messages import KEY_FIELD_BY_COMMAND_TOPIC
from voucher_ledger.core.validation import CommandDecoder, Undecidable
from voucher_ledger.replay.dead_letters.letters import Letter
from voucher_ledger.replay.dead_letters.redrive import Edit
from voucher_ledger.replay.errors import Refused


def edited(letter: Letter, value: bytes) -> Edit:
    """The edit that sends `value` in the place of `letter`, under the key that the command's own data demand.

    Raises:
        Refused: `value` would be dead-lettered too, or is what the letter holds.
    """
    fields = {str(topic): name for topic, name in KEY_FIELD_BY_COMMAND_TOPIC.items()}
    if letter.topic not in fields:
        raise Refused(f"{letter.name} came from no command topic: {letter.topic or 'its headers do not say'}")
    value = value.strip()
    key = _key(value, fields[letter.topic])
    if (value, key) == (letter.value, letter.key):
        raise Refused(f"the edit is what {letter.name} holds already: redrive it without --edit")
    try:
        CommandDecoder(letter.topic).decode(value, key)
    except Undecidable as refusal:
        raise Refused(f"the edit would be dead-lettered again: {refusal}") from refusal
    return Edit(value, key)


def _key(value: bytes, field: str) -> bytes:
    """The key in the data; empty where there is none, which the decoder then tells in its words."""
    try:
        found = orjson.loads(value)["data"][field]
    except (ValueError, KeyError, TypeError, IndexError):
        return b""
    return found.encode() if isinstance(found, str) else b""

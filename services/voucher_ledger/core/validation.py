"""Decodes the commands of a topic: what comes out can be decided, all else is `Undecidable`, with a reason in words.

This is the first step of the hot path, and the schemas under schemas/ are what it checks against.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jsonschema_rs
import orjson

from voucher_ledger.core.clock import milliseconds
from voucher_ledger.core.messages import COMMANDS_BY_TOPIC, KEY_FIELD_BY_COMMAND_TOPIC, CommandTopic
from voucher_ledger.core.records import Command, Undecidable
from voucher_ledger.core.validation_reasons import (
    VALUE_MASK,
    float_at,
    not_json,
    printable,
    schema_faults,
    show,
    wrong_key,
    wrong_size,
    wrong_type,
)
from voucher_ledger.core.validation_schema import (
    Path,
    Schema,
    integer_paths,
    load_schema,
    without_control_patterns,
)

__all__ = ["COMMAND_BYTES_MAX", "CommandDecoder", "Undecidable"]

COMMAND_BYTES_MAX = 65_536

_BACKSLASH = 0x5C
_DELETE = 0x7F


class _Plan(NamedTuple):
    """How to check the commands of one type. A tuple, since unpacking it once is the cheapest way to its parts."""

    is_valid: Callable[[object], bool]
    is_valid_plain: Callable[[object], bool]
    integer_fields: tuple[str, ...]
    fault: Callable[[dict[str, Any]], str | None] | None
    explain: Callable[[object], str]


def _plan(type_: str) -> _Plan:
    schema = load_schema("commands", type_)
    full = _validator(schema)
    paths = integer_paths(schema["properties"]["data"])
    nested: tuple[Path, ...] = tuple(path for path in paths if len(path) > 1)
    if nested and type_ not in _FAULT_BY_TYPE:
        raise ValueError(
            f"{type_} has integers below the top of data, but no check of its own that refuses floats there"
        )
    return _Plan(
        is_valid=full.is_valid,
        is_valid_plain=_validator(without_control_patterns(schema)).is_valid,
        integer_fields=tuple(str(path[0]) for path in paths if len(path) == 1),
        fault=partial(_FAULT_BY_TYPE[type_], nested) if type_ in _FAULT_BY_TYPE else None,
        explain=partial(schema_faults, full, schema),
    )


def _validator(schema: Schema) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True, mask=VALUE_MASK)


class CommandDecoder:
    """Decodes the records of one command topic. Holds no state between records; compiled once a process."""

    def __init__(self, topic: str) -> None:
        """Compile the schemas of the topic's types.

        Raises:
            ValueError: `topic` is no command topic.
        """
        if topic not in COMMANDS_BY_TOPIC:
            raise ValueError(f"{topic!r} is no command topic; there are {', '.join(COMMANDS_BY_TOPIC)}")
        self._topic = cast("CommandTopic", topic)
        self._key_field = KEY_FIELD_BY_COMMAND_TOPIC[self._topic]
        self._plans: dict[str, _Plan] = {type_: _plan(type_) for type_ in COMMANDS_BY_TOPIC[self._topic]}

    def decode(self, value: bytes | None, key: bytes | None) -> Command:
        """Return the command in a record's value, without a place.

        Raises:
            Undecidable: the record can never be decided. No other exception, whatever the bytes.
        """
        if value is None or len(value) > COMMAND_BYTES_MAX:
            raise Undecidable(wrong_size(value, COMMAND_BYTES_MAX))
        try:
            envelope = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise Undecidable(printable(not_json(error, value))) from None
        try:
            type_ = envelope["type"]
            is_valid, is_valid_plain, integer_fields, find_fault, explain = self._plans[type_]
        except (KeyError, TypeError):
            raise Undecidable(printable(wrong_type(envelope, self._topic, list(self._plans)))) from None
        try:
            is_sound = (is_valid if _BACKSLASH in value or _DELETE in value else is_valid_plain)(envelope)
        except ValueError:  # how jsonschema_rs says that it can't look at a value, such as one nested very deep
            is_sound = False
        if not is_sound:
            raise Undecidable(printable(explain(envelope)))
        data = envelope["data"]
        for field in integer_fields:
            if field in data and type(data[field]) is float:
                raise Undecidable(printable(float_at(data, (field,)) or field))
        if find_fault is not None and (fault := find_fault(data)) is not None:
            raise Undecidable(printable(fault))
        owner = data[self._key_field]
        if key != owner.encode():
            raise Undecidable(printable(wrong_key(key, self._key_field, owner)))
        return Command(type_, envelope["id"], data)


def _campaign_open_fault(nested_integers: tuple[Path, ...], data: dict[str, Any]) -> str | None:
    """Check what no schema can say: integers written as floats, and how fields of campaign.open agree."""
    for path in nested_integers:
        if (fault := float_at(data, path)) is not None:
            return fault
    starts_at, ends_at = data["starts_at"], data["ends_at"]
    # Compared in the milliseconds that Kafka's timestamps have: a campaign must be open for one at least.
    if milliseconds(ends_at) <= milliseconds(starts_at):
        times = f"{show(ends_at)} is not after data.starts_at {show(starts_at)}"
        return f"data.ends_at: {times}, counted in whole milliseconds"
    categories = data.get("categories")
    if categories is None:
        return None
    known = set(categories)
    stray = next((name for name in data.get("category_budgets_minor", {}) if name not in known), None)
    return None if stray is None else f"data.category_budgets_minor: {show(stray)} is not one of data.categories"


def _order_reserve_fault(_nested_integers: tuple[Path, ...], data: dict[str, Any]) -> str | None:
    """Check what no schema can say: that no voucher is named by both of two fields."""
    if "more_voucher_ids" in data and data["voucher_id"] in data["more_voucher_ids"]:
        return f"data.more_voucher_ids: {show(data['voucher_id'])} is data.voucher_id already"
    return None


_FAULT_BY_TYPE: dict[str, Callable[[tuple[Path, ...], dict[str, Any]], str | None]] = {
    "campaign.open": _campaign_open_fault,
    "order.reserve": _order_reserve_fault,
}

"""Says in words why a record can't be decided: short, printable, and encodable whatever the record held.

Only dead letters come here, so clearness goes before speed.
"""

import json
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

from voucher_ledger.core.validation_schema import Path, Schema

# Stands for the value in jsonschema_rs's messages: a value may be 64 KiB long, so a clipped one takes its place.
VALUE_MASK = "{value}"
REASON_CHARACTERS_MAX = 600
_VALUE_CHARACTERS_MAX = 60
_FAULTS_MAX = 3
_NAMES_MAX = 5


def escaped(text: str, kept: str = "") -> str:
    """Return `text` with all that can't be shown or encoded escaped, but for the characters `kept`."""
    return "".join(
        character if character.isprintable() or character in kept else f"\\u{ord(character):04x}" for character in text
    )


def printable(text: str) -> str:
    """Return `text` escaped, and its middle cut out if it is too long."""
    shown = escaped(text)
    if len(shown) <= REASON_CHARACTERS_MAX:
        return shown
    half = REASON_CHARACTERS_MAX // 2 - 1
    return f"{shown[:half]}…{shown[-half:]}"


def show(value: object) -> str:
    """Return a JSON value as a person would want to read it in a sentence: clipped, and containers by their kind."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str) and len(value) > _VALUE_CHARACTERS_MAX:
        clipped = json.dumps(value[:_VALUE_CHARACTERS_MAX] + "…", ensure_ascii=False)
        return f"{clipped} ({len(value):,} characters)"
    return json.dumps(value, ensure_ascii=False)


def wrong_size(value: bytes | None, bytes_max: int) -> str:
    """Say why there is nothing to read: no value at all, or far too much of it."""
    if value is None:
        return "the value is null; a command is a JSON object"
    return f"{len(value):,} bytes; at most {bytes_max:,}"


def not_json(error: orjson.JSONDecodeError, value: bytes) -> str:
    """Say where JSON ends: `not JSON: unexpected character at byte 17`."""
    if not value:
        return "not JSON: the value is empty"
    try:
        text = value.decode()
    except UnicodeDecodeError as fault:
        return f"not JSON: byte 0x{value[fault.start]:02x} at byte {fault.start} is not UTF-8"
    # The parser counts characters; bytes are what a hex dump of the dead letter shows.
    position_bytes = len(text[: error.pos].encode())
    return f"not JSON: {error.msg} at byte {position_bytes}"


def wrong_type(envelope: object, topic: str, types: list[str]) -> str:
    """Say why the topic has no use for this type of record."""
    takes = f"{topic} takes {', '.join(types)}"
    if not isinstance(envelope, dict):
        return f"the record is {show(envelope)}, not an object with CloudEvents attributes"
    if "type" not in envelope:
        return f"type is missing; {takes}"
    if not isinstance(envelope["type"], str):
        return f"type: {show(envelope['type'])} is not a string; {takes}"
    return f"unknown type {show(envelope['type'])}; {takes}"


def wrong_key(key: bytes | None, field: str, owner: str) -> str:
    """Say how the record's key differs from the field of `data` that it must equal."""
    expected = f"data.{field} {show(owner)}"
    if key is None:
        return f"no key; it must be {expected}"
    try:
        return f"key {show(key.decode())} is not {expected}"
    except UnicodeDecodeError:
        clipped = key[:_VALUE_CHARACTERS_MAX].hex()
        return f"key is not UTF-8 (hex {clipped}, {len(key):,} bytes); it must be {expected}"


def schema_faults(validator: jsonschema_rs.Draft202012Validator, schema: Schema, envelope: object) -> str:
    """Say what the schema has against the record: its first few faults, each with its place."""
    try:
        faults = [_fault(error, schema) for error in islice(validator.iter_errors(envelope), _FAULTS_MAX)]
    except ValueError:
        # jsonschema_rs copies the value into its error, and stops at a depth that JSON parsing allows.
        return "the record is nested too deep; no command has more than three levels below data"
    # A time with a wrong zone fails two keywords, with the same words.
    return "; ".join(dict.fromkeys(faults)) or "the record does not match its schema"


def _fault(error: jsonschema_rs.ValidationError, schema: Schema) -> str:
    place = _place(error.instance_path)
    match error.kind.name:
        case "required":
            missing = [*error.instance_path, error.kind.as_dict()["property"]]
            return f"{_place(missing)} is missing"
        case "additionalProperties":
            return f"{place}: unknown field {_names(error.kind.as_dict()['unexpected'])}"
        case "pattern" | "format" | "not":
            refusal = _beside(error.schema_path, schema).get("x-refusal", "has a form that is not allowed")
            return f"{place}: {show(error.instance)} {refusal}"
        case "const":
            return f"{place}: {show(error.instance)} is not allowed: {error.message}"
        case "propertyNames":
            return f"{place}: a key is refused: {error.message}"
        case _:
            return f"{place}: {error.message.replace(VALUE_MASK, show(error.instance))}"


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _NAMES_MAX} more" if len(names) > _NAMES_MAX else ""
    return ", ".join(show(name) for name in names[:_NAMES_MAX]) + more


def _place(path: list[str | int]) -> str:
    place = ""
    for step in path:
        if isinstance(step, int):
            place += f"[{step}]"
        elif step.isidentifier() and len(step) <= _VALUE_CHARACTERS_MAX:
            place += f".{step}" if place else step
        else:
            place += f"[{show(step)}]"
    return place or "the record"


def _beside(schema_path: list[str | int], schema: Schema) -> Schema:
    node: Any = schema
    for step in schema_path[:-1]:
        node = node[step]
    return node if isinstance(node, dict) else {}


def float_at(data: object, path: Path, place: str = "data") -> str | None:
    """Name the first number at `path` below `data` that was written with a fraction or an exponent, or return None."""
    if not path:
        if type(data) is float:
            return f"{place}: {data!r} is not an integer; write it without fraction or exponent"
        return None
    step, rest = path[0], path[1:]
    if isinstance(step, str):
        return float_at(data[step], rest, f"{place}.{step}") if isinstance(data, dict) and step in data else None
    if isinstance(data, list):
        children: list[tuple[str, object]] = [(f"{place}[{index}]", item) for index, item in enumerate(data)]
    elif isinstance(data, dict):
        children = [(f"{place}[{show(name)}]", item) for name, item in data.items()]
    else:
        return None
    return next((fault for where, item in children if (fault := float_at(item, rest, where))), None)

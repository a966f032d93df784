"""Reads the schemas under schemas/ and prepares them for validating at run time."""

from functools import cache
from typing import Any, Literal, TypeAlias

import orjson

from voucher_ledger.core.schema_files import schema_root

Schema: TypeAlias = dict[str, Any]
Json: TypeAlias = Any
# A step of a path below `data`: a field's name, or EACH of a list's items or of the values of an object with free keys.
EACH = 0
Path: TypeAlias = tuple[str | int, ...]

_COMMON_PREFIX = "../common.json#/$defs/"
_LOCAL_PREFIX = "#/$defs/"


@cache
def _definitions() -> Schema:
    common: Schema = orjson.loads((schema_root() / "common.json").read_bytes())
    definitions: Schema = common["$defs"]
    return definitions


def load_schema(folder: Literal["commands", "events"], type_: str) -> Schema:
    """Return the schema of a command or event type, complete in itself: every `$ref` replaced by what it names.

    The validator then answers without following references, and an error's path leads through one document.

    Raises:
        FileNotFoundError: there is no schema of that name.
        ValueError: a `$ref` leads to something other than a definition of common.json.
    """
    schema: Schema = orjson.loads((schema_root() / folder / f"{type_}.json").read_bytes())
    resolved: Schema = _resolved(schema)
    return resolved


def _resolved(node: Json) -> Json:
    if isinstance(node, list):
        return [_resolved(item) for item in node]
    if not isinstance(node, dict):
        return node
    beside = {name: _resolved(value) for name, value in node.items() if name != "$ref"}
    if "$ref" not in node:
        return beside
    reference = node["$ref"]
    for prefix in (_COMMON_PREFIX, _LOCAL_PREFIX):
        if reference.startswith(prefix):
            # What stands beside a `$ref` is a description for that place; the definition's own gives way to it.
            return {**_resolved(_definitions()[reference.removeprefix(prefix)]), **beside}
    raise ValueError(f"$ref {reference!r}: only {_COMMON_PREFIX}<name> is understood; move the definition there")


def without_control_patterns(schema: Schema) -> Schema:
    """Return the schema less the patterns that forbid control characters, for records whose bytes can hold none.

    JSON spells every control character below U+0020 with a backslash, so in a record without a backslash and without
    byte 0x7F these patterns can't fail, and leaving them out saves a third of the validation's time.
    """
    control_pattern = _definitions()["id"]["pattern"]
    relieved: Schema = _without(schema, control_pattern)
    return relieved


def _without(node: Json, pattern: str) -> Json:
    if isinstance(node, list):
        return [_without(item, pattern) for item in node]
    if not isinstance(node, dict):
        return node
    return {name: _without(value, pattern) for name, value in node.items() if (name, value) != ("pattern", pattern)}


def integer_paths(schema: Schema) -> list[Path]:
    """Return where below `schema` integers stand, as paths; JSON Schema lets 5.0 pass for one, the ledger does not."""
    if schema.get("type") == "integer":
        return [()]
    found: list[Path] = []
    for name, child in schema.get("properties", {}).items():
        found += [(name, *path) for path in integer_paths(child)]
    if isinstance(schema.get("items"), dict):
        found += [(EACH, *path) for path in integer_paths(schema["items"])]
    if isinstance(schema.get("additionalProperties"), dict):
        found += [(EACH, *path) for path in integer_paths(schema["additionalProperties"])]
    return found

"""Whatever the bytes: a command or `Undecidable`, never another exception; and what is decoded is what was sent."""

import json
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voucher_ledger.core.messages import COMMANDS_BY_TOPIC, KEY_FIELD_BY_COMMAND_TOPIC
from voucher_ledger.core.records import Command
from voucher_ledger.core.validation import CommandDecoder, Undecidable
from voucher_ledger.core.validation_reasons import REASON_CHARACTERS_MAX
from voucher_ledger.core.validation_schema import load_schema, without_control_patterns

DECODERS: dict[str, CommandDecoder] = {topic: CommandDecoder(topic) for topic in COMMANDS_BY_TOPIC}
SCHEMAS: dict[str, dict[str, Any]] = {
    type_: load_schema("commands", type_) for by in COMMANDS_BY_TOPIC.values() for type_ in by
}
VALIDATORS = {
    type_: jsonschema_rs.Draft202012Validator(schema, validate_formats=True) for type_, schema in SCHEMAS.items()
}
KEY_FIELDS: dict[str, str] = dict(KEY_FIELD_BY_COMMAND_TOPIC.items())
COMMANDS = [(topic, schema) for topic, by in COMMANDS_BY_TOPIC.items() for schema in (SCHEMAS[type_] for type_ in by)]

# No deadline: on a busy machine a slow example says nothing about the decoder.
unhurried = settings(deadline=None, max_examples=300)

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=128)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=140)
numbers = st.integers() | st.floats() | st.sampled_from([2**63, 2**64, -(2**63), 10**15, 10**15 + 1, 5.0, 1e15])
scalars = st.none() | st.booleans() | numbers | words
rubbish = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4))


def value_for(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that match a field's schema, as far as these schemas go."""
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    if schema["type"] == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    if schema["type"] == "array":
        unique = schema.get("uniqueItems", False)
        return st.lists(value_for(schema["items"]), min_size=schema.get("minItems", 0), max_size=3, unique=unique)
    if "properties" in schema:
        return object_for(schema)
    if schema["type"] == "object":
        return st.dictionaries(names, value_for(schema["additionalProperties"]), max_size=3)
    if schema.get("format") == "date-time":
        return st.datetimes().filter(lambda moment: moment.year >= 1000).map(lambda moment: f"{moment.isoformat()}Z")
    if schema["pattern"] == "^[A-Z]{3}$":
        return st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3)
    return names


def object_for(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: value_for(field) for name, field in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema["required"]}
    return st.fixed_dictionaries(required, optional=fields).map(agreeing)


def agreeing(value: dict[str, Any]) -> dict[str, Any]:
    """Bring fields into agreement that the field-wise making of values knows nothing of."""
    if value.get("kind") == "percent_off":
        value.setdefault("percent_bp", 1)
    elif "kind" in value:
        value.pop("percent_bp", None)
    if "ends_at" in value:
        value["starts_at"], value["ends_at"] = "2026-02-06T00:00:00Z", "2026-02-06T06:00:00.5+00:00"
    if "categories" in value and "category_budgets_minor" in value:
        value["categories"] = list(value["category_budgets_minor"])
    if value.get("voucher_id") in value.get("more_voucher_ids", ()):
        del value["more_voucher_ids"]
    return value


def sent(topic: str, envelope: dict[str, Any]) -> bytes | None:
    data = envelope.get("data")
    owner = data.get(KEY_FIELDS[topic]) if isinstance(data, dict) else None
    return owner.encode() if isinstance(owner, str) else None


def decode_or_reason(topic: str, value: bytes | None, key: bytes | None) -> Command | str:
    try:
        return DECODERS[topic].decode(value, key)
    except Undecidable as refused:
        text = str(refused)
        assert 0 < len(text) <= REASON_CHARACTERS_MAX
        assert text.isprintable()
        assert text.encode().decode() == text
        return text


@pytest.mark.parametrize(("topic", "schema"), COMMANDS)
def test_a_valid_command_decodes_to_what_was_sent(topic: str, schema: dict[str, Any]) -> None:
    @settings(unhurried, max_examples=60)
    @given(object_for(schema), st.booleans())
    def decodes(envelope: dict[str, Any], is_escaped: bool) -> None:
        # Escaped text has backslashes and so takes the decoder's careful way, which must give the same.
        value = json.dumps(envelope, ensure_ascii=True).encode() if is_escaped else orjson.dumps(envelope)
        decoded = decode_or_reason(topic, value, sent(topic, envelope))
        assert decoded == Command(envelope["type"], envelope["id"], envelope["data"])

    decodes()


@unhurried
@given(st.sampled_from(list(COMMANDS_BY_TOPIC)), st.none() | st.binary(), st.none() | st.binary())
def test_any_bytes_are_undecidable_in_words(topic: str, value: bytes | None, key: bytes | None) -> None:
    assert isinstance(decode_or_reason(topic, value, key), str)


@unhurried
@given(st.sampled_from(list(COMMANDS_BY_TOPIC)), rubbish, st.none() | st.binary())
def test_any_json_is_undecidable_in_words(topic: str, value: object, key: bytes | None) -> None:
    assert isinstance(decode_or_reason(topic, json.dumps(value).encode(), key), str)


@unhurried
@given(st.sampled_from(COMMANDS), st.data())
def test_a_spoilt_command_is_judged_as_its_schema_judges_it(
    command: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    topic, schema = command
    envelope = orjson.loads(orjson.dumps(schema["examples"][0]))
    target = data.draw(st.sampled_from([envelope, envelope["data"]]))
    name = data.draw(st.sampled_from(list(target)) | words)
    target[name] = data.draw(rubbish)
    value = json.dumps(envelope).encode()
    outcome = decode_or_reason(topic, value, sent(topic, envelope))
    try:
        read = orjson.loads(value)
    except orjson.JSONDecodeError:
        assert isinstance(outcome, str)
        return
    if isinstance(outcome, Command):
        assert VALIDATORS[outcome.type].is_valid(read)
        assert outcome == Command(read["type"], read["id"], read["data"])
        assert float not in {type(field) for field in outcome.data.values()}
    else:
        # What the schema lets through is refused for one of the rules that no schema can state.
        known = VALIDATORS.get(read["type"]) if isinstance(read["type"], str) else None
        beyond = ("is not an integer", "is not after", "is not one of data.categories", "unknown type")
        assert known is None or not known.is_valid(read) or any(rule in outcome for rule in beyond)


@unhurried
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), st.booleans())
def test_leaving_out_control_patterns_never_lets_a_control_character_through(text: str, is_escaped: bool) -> None:
    envelope = orjson.loads(orjson.dumps(SCHEMAS["voucher.claim"]["examples"][0]))
    envelope["data"]["channel"] = text
    value = json.dumps(envelope, ensure_ascii=is_escaped).encode()
    holds_control = any(character <= "\x1f" or character == "\x7f" for character in text)
    assert isinstance(decode_or_reason("claim.commands", value, b"u-1"), str) is holds_control


@pytest.mark.parametrize("character", [chr(code) for code in range(0x20)] + ["\x7f"])
@pytest.mark.parametrize("is_escaped", [True, False])
def test_every_control_character_is_refused_however_it_is_spelt(character: str, is_escaped: bool) -> None:
    value = orjson.dumps(SCHEMAS["voucher.claim"]["examples"][0])
    spelt = f"\\u{ord(character):04x}" if is_escaped else character
    spoilt = value.replace(b'"app"', b'"a' + spelt.encode() + b'p"')
    assert isinstance(decode_or_reason("claim.commands", spoilt, b"u-1"), str)


@pytest.mark.parametrize("type_", SCHEMAS)
def test_the_relieved_schema_differs_in_control_patterns_only(type_: str) -> None:
    relieved = without_control_patterns(SCHEMAS[type_])
    assert "u0000" in json.dumps(SCHEMAS[type_])
    assert "u0000" not in json.dumps({**relieved, "examples": []})
    assert json.dumps(relieved).count('"pattern"') >= 1


@pytest.mark.parametrize("depth", [50, 250, 500, 900, 1020, 1500, 15_000])
@pytest.mark.parametrize("place", ["id", "data", "specversion", "traceparent"])
def test_deep_nesting_is_undecidable(depth: int, place: str) -> None:
    envelope = orjson.dumps({**SCHEMAS["voucher.claim"]["examples"][0], place: "HERE"})
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        value = envelope.replace(b'"HERE"', opening * depth + b"1" + closing * depth)
        assert isinstance(decode_or_reason("claim.commands", value, b"u-1"), str)


@pytest.mark.parametrize("opening", [b"[", b'{"category_budgets_minor":'])
def test_deep_nesting_below_a_list_or_map_is_undecidable(opening: bytes) -> None:
    value = orjson.dumps(SCHEMAS["campaign.open"]["examples"][0])
    closing = {b"[": b"]"}.get(opening, b"}")
    for field in (b'"categories":["tea","hotel"]', b'"category_budgets_minor":{"hotel":50000000}'):
        assert field in value
        deep = field.partition(b":")[0] + b":" + opening * 900 + b"1" + closing * 900
        assert isinstance(decode_or_reason("campaign.commands", value.replace(field, deep), b"spring-2026"), str)


def test_a_validator_that_gives_up_makes_the_record_undecidable(monkeypatch: pytest.MonkeyPatch) -> None:
    def gives_up(_: object) -> bool:
        raise ValueError("Recursion limit reached")

    decoder = CommandDecoder("claim.commands")
    plan = decoder._plans["voucher.claim"]
    monkeypatch.setitem(decoder._plans, "voucher.claim", plan._replace(is_valid=gives_up, is_valid_plain=gives_up))
    with pytest.raises(Undecidable):
        decoder.decode(orjson.dumps(SCHEMAS["voucher.claim"]["examples"][0]), b"u-1")

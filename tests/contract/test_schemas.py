"""The schema files: complete, sound, closed, explained."""

import copy
from collections.abc import Iterator
from typing import Any, get_args

import jsonschema_rs
import orjson
import pytest

from tests.contract.fields import FIELDS
from voucher_ledger.core import messages
from voucher_ledger.core.schema_files import schema_root
from voucher_ledger.core.validation_schema import load_schema

BASE = "https://voucher-ledger.example/schemas/"
TYPES = [("commands", type_) for by in messages.COMMANDS_BY_TOPIC.values() for type_ in by] + [
    ("events", type_) for by in messages.EVENTS_BY_TOPIC.values() for type_ in by
]
# As the contract lists them; written out here so that losing one from code and schemas alike is noticed.
REASONS = {
    *("unknown_campaign", "not_started", "not_released", "ended", "paused", "sold_out", "budget_exhausted"),
    *("user_limit", "unknown_voucher", "not_your_voucher", "voucher_expired", "voucher_used", "voucher_held"),
    *("category_not_allowed", "category_budget_exhausted", "below_min_spend", "unknown_order", "order_not_open"),
    *("hold_expired", "amount_mismatch", "unknown_payment", "refund_exceeds_payment", "conflict"),
}


def raw(folder: str, type_: str) -> dict[str, Any]:
    schema: dict[str, Any] = orjson.loads((schema_root() / folder / f"{type_}.json").read_bytes())
    return schema


def validator(folder: str, type_: str) -> jsonschema_rs.Draft202012Validator:
    """Follow the references as an outside program does, not as our loader does."""
    common = orjson.loads((schema_root() / "common.json").read_bytes())
    registry = jsonschema_rs.Registry([(common["$id"], common)])
    return jsonschema_rs.Draft202012Validator(raw(folder, type_), registry=registry, validate_formats=True)


def objects(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths of all objects within an example whose fields are fixed."""
    if isinstance(value, dict):
        if path and path[-1] not in ("category_budgets_minor", "channel_quotas"):
            yield path
        for name, child in value.items():
            yield from objects(child, (*path, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from objects(child, (*path, index))


def at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def test_there_is_a_schema_for_each_type_and_no_other() -> None:
    files = {
        (path.parent.name, path.stem)
        for folder in ("commands", "events")
        for path in (schema_root() / folder).iterdir()
    }
    assert files == set(TYPES)
    commands, events = ({type_ for folder, type_ in TYPES if folder == wanted} for wanted in ("commands", "events"))
    assert commands == set(get_args(messages.CommandType))
    assert events == set(get_args(messages.EventType))


@pytest.mark.parametrize(("folder", "type_"), TYPES)
def test_data_has_the_fields_that_programs_were_written_against(folder: str, type_: str) -> None:
    data = raw(folder, type_)["properties"]["data"]
    assert {name if name in data["required"] else f"{name}?" for name in data["properties"]} == set(
        FIELDS[type_].split()
    )


@pytest.mark.parametrize(("folder", "type_"), TYPES)
def test_schema_is_valid_named_after_its_type_and_explained(folder: str, type_: str) -> None:
    schema = raw(folder, type_)
    assert jsonschema_rs.meta.is_valid(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"{BASE}{folder}/{type_}.json"
    assert schema["properties"]["type"]["const"] == type_
    assert schema["title"]
    resolved = load_schema("commands" if folder == "commands" else "events", type_)
    fields = {**resolved["properties"], **resolved["properties"]["data"]["properties"]}
    assert [name for name, field in fields.items() if not field.get("description")] == []


@pytest.mark.parametrize(("folder", "type_"), TYPES)
def test_examples_validate_by_reference_and_resolved(folder: str, type_: str) -> None:
    examples = raw(folder, type_)["examples"]
    assert examples
    resolved = jsonschema_rs.Draft202012Validator(
        load_schema("commands" if folder == "commands" else "events", type_), validate_formats=True
    )
    for example in examples:
        validator(folder, type_).validate(example)
        resolved.validate(example)


@pytest.mark.parametrize(("folder", "type_"), TYPES)
def test_unknown_fields_are_refused_in_data_and_below(folder: str, type_: str) -> None:
    check = validator(folder, type_)
    for example in raw(folder, type_)["examples"]:
        for path in objects(example):
            grown = copy.deepcopy(example)
            at(grown, path)["surprise"] = "x"
            assert not check.is_valid(grown), path


@pytest.mark.parametrize(("folder", "type_"), TYPES)
def test_each_required_field_is_missed(folder: str, type_: str) -> None:
    check, schema = validator(folder, type_), raw(folder, type_)
    example = schema["examples"][0]
    for path, required in (((), schema["required"]), (("data",), schema["properties"]["data"]["required"])):
        for name in required:
            shrunk = copy.deepcopy(example)
            del at(shrunk, path)[name]
            assert not check.is_valid(shrunk), name


@pytest.mark.parametrize(("folder", "type_"), TYPES)
def test_envelope_may_carry_scalar_extensions_only(folder: str, type_: str) -> None:
    check, example = validator(folder, type_), raw(folder, type_)["examples"][0]
    assert check.is_valid({**example, "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"})
    assert not check.is_valid({**example, "traceparent": {"version": 0}})


def test_every_reason_of_the_contract_can_occur_and_no_other() -> None:
    by_room = [
        set(raw("events", f"{what}.rejected")["properties"]["data"]["properties"]["reason"]["enum"])
        for what in ("campaign", "voucher", "order", "payment")
    ]
    assert set().union(*by_room) == REASONS
    assert all("conflict" in reasons for reasons in by_room)


@pytest.mark.parametrize(
    ("voucher", "is_valid"),
    [
        ({"kind": "free_order", "face_value_minor": 1}, True),
        ({"kind": "amount_off", "face_value_minor": 10**15, "min_spend_minor": 0}, True),
        ({"kind": "percent_off", "face_value_minor": 1, "percent_bp": 10_000}, True),
        ({"kind": "percent_off", "face_value_minor": 1}, False),
        ({"kind": "percent_off", "face_value_minor": 1, "percent_bp": 10_001}, False),
        ({"kind": "percent_off", "face_value_minor": 1, "percent_bp": 0}, False),
        ({"kind": "free_order", "face_value_minor": 1, "percent_bp": 100}, False),
        ({"kind": "amount_off", "face_value_minor": 1, "percent_bp": 100}, False),
        ({"kind": "amount_off", "face_value_minor": 0}, False),
        ({"kind": "gift", "face_value_minor": 1}, False),
        ({"kind": "amount_off"}, False),
    ],
)
def test_percent_bp_belongs_to_percent_off(voucher: dict[str, Any], is_valid: bool) -> None:
    example = raw("commands", "campaign.open")["examples"][0]
    example["data"]["voucher"] = voucher
    assert validator("commands", "campaign.open").is_valid(example) is is_valid


def test_next_release_at_belongs_to_not_released() -> None:
    check, example = validator("events", "voucher.rejected"), raw("events", "voucher.rejected")["examples"][0]
    moment = "2026-02-06T01:00:00.000Z"
    for reason, more, is_valid in (
        ("not_released", {"next_release_at": moment}, True),
        ("not_released", {}, False),
        ("sold_out", {"next_release_at": moment}, False),
    ):
        data = {**example["data"], "reason": reason, **more}
        assert check.is_valid({**example, "data": data}) is is_valid


def test_duplicate_is_true_or_absent_and_never_on_a_refusal() -> None:
    for folder, type_ in TYPES:
        example = raw(folder, type_)["examples"][0]
        for duplicate in (True, False):
            allowed = duplicate and folder == "events" and not type_.endswith(".rejected")
            told = {**example, "data": {**example["data"], "duplicate": duplicate}}
            assert validator(folder, type_).is_valid(told) is allowed, type_

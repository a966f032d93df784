"""The TypedDicts that code is checked against and the schemas that records are checked against say the same."""

from typing import Any, Literal, NotRequired, TypedDict, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from voucher_ledger.core import messages
from voucher_ledger.core.messages_claims import ClaimReason, VoucherClaim, VoucherRejected
from voucher_ledger.core.validation_schema import load_schema

SCALARS = {str: "string", int: "integer", bool: "boolean"}


def shape_of_type(annotation: Any) -> object:
    """A shape that both sides can be brought to: names, requiredness and JSON types, nothing else."""
    if get_origin(annotation) is NotRequired:
        return shape_of_type(get_args(annotation)[0])
    if is_typeddict(annotation):
        hints = get_type_hints(annotation, include_extras=True)
        required = annotation.__required_keys__
        return {name: (name in required, shape_of_type(hint)) for name, hint in hints.items()}
    if get_origin(annotation) is Literal:
        return frozenset(get_args(annotation))
    if get_origin(annotation) is list:
        return ["list", shape_of_type(get_args(annotation)[0])]
    if get_origin(annotation) is dict:
        return ["map", shape_of_type(get_args(annotation)[1])]
    return SCALARS[annotation]


def shape_of_schema(schema: dict[str, Any]) -> object:
    if "const" in schema:
        return frozenset([schema["const"]])
    if "enum" in schema:
        return frozenset(schema["enum"])
    if "properties" in schema:
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        required = set(schema["required"])
        assert required <= set(schema["properties"])
        return {name: (name in required, shape_of_schema(field)) for name, field in schema["properties"].items()}
    if schema["type"] == "array":
        return ["list", shape_of_schema(schema["items"])]
    if schema["type"] == "object":
        return ["map", shape_of_schema(schema["additionalProperties"])]
    return schema["type"]


def data_schema(folder: Literal["commands", "events"], type_: str) -> dict[str, Any]:
    schema: dict[str, Any] = load_schema(folder, type_)["properties"]["data"]
    return schema


@pytest.mark.parametrize(("type_", "data"), [pair for by in messages.COMMANDS_BY_TOPIC.values() for pair in by.items()])
def test_command_type_matches_its_schema(type_: str, data: type) -> None:
    assert shape_of_type(data) == shape_of_schema(data_schema("commands", type_))


@pytest.mark.parametrize(("type_", "data"), [pair for by in messages.EVENTS_BY_TOPIC.values() for pair in by.items()])
def test_event_type_matches_its_schema(type_: str, data: type) -> None:
    assert shape_of_type(data) == shape_of_schema(data_schema("events", type_))


def test_envelope_type_matches_the_schemas() -> None:
    schema = load_schema("commands", "voucher.claim")
    assert set(schema["required"]) == messages.Envelope.__required_keys__ == set(schema["properties"])
    assert messages.Envelope.__optional_keys__ == frozenset()


# Negative controls: each is a drift that must be seen.


class FieldLost(TypedDict):
    campaign_id: str
    user_id: str
    city_tier: NotRequired[int]
    device_id: NotRequired[str]


class FieldAdded(VoucherClaim):
    coupon: NotRequired[str]


class RequirednessDrifted(TypedDict):
    campaign_id: str
    user_id: str
    city_tier: int
    channel: NotRequired[str]
    device_id: NotRequired[str]


class TypeDrifted(TypedDict):
    campaign_id: str
    user_id: str
    city_tier: NotRequired[str]
    channel: NotRequired[str]
    device_id: NotRequired[str]


class BooleanForInteger(TypedDict):
    campaign_id: str
    user_id: str
    city_tier: NotRequired[bool]
    channel: NotRequired[str]
    device_id: NotRequired[str]


@pytest.mark.parametrize("drifted", [FieldLost, FieldAdded, RequirednessDrifted, TypeDrifted, BooleanForInteger])
def test_drift_of_a_type_is_seen(drifted: type) -> None:
    assert shape_of_type(drifted) != shape_of_schema(data_schema("commands", "voucher.claim"))


def test_drift_of_a_schema_is_seen() -> None:
    lost, added, optional = (data_schema("commands", "voucher.claim") for _ in range(3))
    del lost["properties"]["channel"]
    added["properties"]["coupon"] = {"type": "string"}
    optional["required"].remove("user_id")
    for drifted in (lost, added, optional):
        assert shape_of_type(VoucherClaim) != shape_of_schema(drifted)


@pytest.mark.parametrize("reason", get_args(ClaimReason))
def test_drift_of_a_single_reason_is_seen(reason: str) -> None:
    schema = data_schema("events", "voucher.rejected")
    schema["properties"]["reason"]["enum"].remove(reason)
    assert shape_of_type(VoucherRejected) != shape_of_schema(schema)

"""Given a record, when it is decoded, then a command comes out, or a reason that a person understands."""

from typing import Any

import orjson
import pytest

from voucher_ledger.core.records import Command
from voucher_ledger.core.validation import COMMAND_BYTES_MAX, CommandDecoder, Undecidable
from voucher_ledger.core.validation_reasons import REASON_CHARACTERS_MAX
from voucher_ledger.core.validation_schema import load_schema

CLAIMS = CommandDecoder("claim.commands")
CAMPAIGNS = CommandDecoder("campaign.commands")
ORDERS = CommandDecoder("order.commands")
PAYMENTS = CommandDecoder("payment.commands")
DECODERS = {"campaign": CAMPAIGNS, "voucher": CLAIMS, "order": ORDERS, "payment": PAYMENTS}


def example(type_: str) -> dict[str, Any]:
    command: dict[str, Any] = load_schema("commands", type_)["examples"][0]
    return command


def with_data(type_: str, **changes: Any) -> dict[str, Any]:
    command = example(type_)
    return {**command, "data": {**command["data"], **changes}}


def key_of(command: dict[str, Any]) -> bytes:
    name: str = command["data"]["user_id"] if "user_id" in command["data"] else command["data"]["campaign_id"]
    return name.encode()


def decode(command: dict[str, Any]) -> Command:
    return DECODERS[command["type"].partition(".")[0]].decode(orjson.dumps(command), key_of(command))


def reason(decoder: CommandDecoder, value: bytes | None, key: bytes | None = b"u-1") -> str:
    with pytest.raises(Undecidable) as refused:
        decoder.decode(value, key)
    text = str(refused.value)
    assert 0 < len(text) <= REASON_CHARACTERS_MAX
    assert text.isprintable()
    text.encode()
    return text


def refusal(command: dict[str, Any]) -> str:
    return reason(DECODERS[command["type"].partition(".")[0]], orjson.dumps(command), key_of(command))


@pytest.mark.parametrize(
    "type_",
    [
        *("campaign.open", "campaign.top_up", "campaign.pause", "campaign.resume", "campaign.close"),
        *("voucher.claim", "voucher.expire", "order.reserve", "order.cancel", "order.expire"),
        *("payment.settle", "payment.refund"),
    ],
)
def test_each_example_decodes_to_what_was_sent(type_: str) -> None:
    command = example(type_)
    decoded = decode(command)
    assert decoded == Command(type_, command["id"], command["data"])
    assert (decoded.type, decoded.id, decoded.data) == (type_, command["id"], command["data"])


def test_unknown_topic_is_a_programmers_error() -> None:
    with pytest.raises(ValueError, match="is no command topic"):
        CommandDecoder("claim.events")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "the value is null; a command is a JSON object"),
        (b"", "not JSON: the value is empty"),
        (b"hello", "not JSON: unexpected character"),
        ('{"é":x}'.encode(), "at byte 6"),
        (b'{"a":\xff}', "not JSON: byte 0xff at byte 5 is not UTF-8"),
        (b'\xef\xbb\xbf{"type":"voucher.claim"}', "not JSON"),
        (b'{"type":"voucher.claim"', "not JSON"),
        (b'{"type":"voucher.claim","id":"\\ud800"}', "not JSON"),
        (b'{"type":"voucher.claim","id":NaN}', "not JSON"),
        (b'{"type":"voucher.claim","id":Infinity}', "not JSON"),
        (b'{"type":"voucher.claim","id":1e400}', "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b"[]", "the record is a list, not an object"),
        (b"null", "the record is null, not an object"),
        (b'"voucher.claim"', 'the record is "voucher.claim", not an object'),
        (b"{}", "type is missing; claim.commands takes voucher.claim, voucher.admit, voucher.expire"),
        (b'{"type":7}', "type: 7 is not a string"),
        (b'{"type":["voucher.claim"]}', "type: a list is not a string"),
        (
            b'{"type":"voucher.steal"}',
            'unknown type "voucher.steal"; claim.commands takes voucher.claim, voucher.admit, voucher.expire',
        ),
        (b'{"type":"order.reserve"}', 'unknown type "order.reserve"'),
        (b'{"type":"voucher.claim"}', "specversion is missing; id is missing; source is missing"),
        (b"x" * 82_000, "82,000 bytes; at most 65,536"),
    ],
)
def test_what_is_no_command_is_refused_in_words(value: bytes | None, expected: str) -> None:
    assert expected in reason(CLAIMS, value)


def test_size_is_measured_to_the_byte() -> None:
    command = orjson.dumps(example("voucher.claim"))
    room = COMMAND_BYTES_MAX - len(command)
    assert CLAIMS.decode(command + b" " * room, b"u-1").type == "voucher.claim"
    assert reason(CLAIMS, command + b" " * (room + 1)) == "65,537 bytes; at most 65,536"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"specversion": "0.3"}, 'specversion: "0.3" is not allowed: "1.0" was expected'),
        ({"id": ""}, 'id: "" is shorter than 1 character'),
        ({"id": 5}, 'id: 5 is not of type "string"'),
        ({"source": "s" * 513}, "(513 characters) is longer than 512 characters"),
        ({"data": []}, 'data: a list is not of type "object"'),
        ({"data": None}, 'data: null is not of type "object"'),
        ({"traceparent": {"deep": 1}}, "traceparent: an object is not of types"),
    ],
)
def test_envelope_is_checked(changes: dict[str, Any], expected: str) -> None:
    assert expected in reason(CLAIMS, orjson.dumps({**example("voucher.claim"), **changes}))


@pytest.mark.parametrize(
    "time", ["2026-02-06T00:00:00Z", "2026-02-06T00:00:00+00:00", "2024-02-29T23:59:59.123456789Z"]
)
def test_times_in_utc_pass(time: str) -> None:
    assert decode({**example("voucher.claim"), "time": time}).type == "voucher.claim"


@pytest.mark.parametrize(
    "time",
    [
        *("2026-02-06T08:00:00+08:00", "2026-02-06T00:00:00-00:00", "2026-02-06T00:00:00", "2026-02-06 00:00:00Z"),
        *("2026-02-30T00:00:00Z", "2026-02-06T24:00:00Z", "2026-12-31T23:59:60Z", "2026-02-06T00:00:00.1234567890Z"),
        *("2026-02-06t00:00:00z", "2026-02-06", "20260206T000000Z", "0000-01-01T00:00:00Z", "2026-02-06T00:00:00Z\n"),
        *("yesterday", "", "٢٠٢٦-02-06T00:00:00Z"),
    ],
)
def test_other_times_are_refused_once_and_by_example(time: str) -> None:
    text = refusal({**example("voucher.claim"), "time": time})
    assert text.startswith("time: ")
    assert text.count("must be an RFC 3339 time in UTC, such as 2026-02-06T00:00:00Z") == 1


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (with_data("order.reserve", amount_minor=-5), "data.amount_minor: -5 is less than the minimum of 1"),
        (with_data("order.reserve", amount_minor=0), "data.amount_minor: 0 is less than the minimum of 1"),
        (with_data("order.reserve", amount_minor=10**15 + 1), "is greater than the maximum of 1000000000000000"),
        (with_data("order.reserve", amount_minor=2**63), "data.amount_minor: 9223372036854775808 is greater than"),
        (with_data("order.reserve", amount_minor="5"), 'data.amount_minor: "5" is not of type "integer"'),
        (with_data("order.reserve", amount_minor=True), 'data.amount_minor: true is not of type "integer"'),
        (with_data("order.reserve", amount_minor=None), 'data.amount_minor: null is not of type "integer"'),
        (with_data("order.reserve", amount_minor=5.5), 'data.amount_minor: 5.5 is not of type "integer"'),
        (with_data("order.reserve", amount_minor=5.0), "data.amount_minor: 5.0 is not an integer; write it without"),
        (with_data("payment.settle", paid_minor=-1), "data.paid_minor: -1 is less than the minimum of 0"),
        (with_data("payment.refund", amount_minor=1e15), "data.amount_minor: 1000000000000000.0 is not an integer"),
        (with_data("voucher.claim", city_tier=7), "data.city_tier: 7 is greater than the maximum of 6"),
        (with_data("voucher.claim", coupon="x"), 'data: unknown field "coupon"'),
        (with_data("voucher.claim", channel="a\nb"), 'data.channel: "a\\nb" must hold no control characters'),
        (with_data("voucher.claim", channel="a\x7fb"), "must hold no control characters"),
        (with_data("voucher.claim", channel="c" * 60_000), "(60,000 characters) is longer than 128 characters"),
        (with_data("voucher.claim", user_id=""), 'data.user_id: "" is shorter than 1 character'),
        (with_data("campaign.open", currency="yuan"), 'data.currency: "yuan" must be three capital letters'),
        (with_data("campaign.open", per_user_limit=1001), "data.per_user_limit: 1001 is greater than"),
        (with_data("campaign.open", categories=["x"] * 101), "data.categories: a list has more than 100 items"),
        (with_data("campaign.open", quota=5e4), "data.quota: 50000.0 is not an integer"),
        (with_data("campaign.open", ends_at="2026-02-06T00:00:00.000900Z"), 'Z", counted in whole milliseconds'),
        (with_data("campaign.open", ends_at="2026-02-05T23:00:00Z"), "is not after data.starts_at"),
        (with_data("campaign.open", starts_at="2026-02-06T00:00:00+08:00"), "data.starts_at:"),
        (
            with_data("campaign.open", category_budgets_minor={"hotel": 1, "train": 2}),
            'data.category_budgets_minor: "train" is not one of data.categories',
        ),
        (
            with_data("campaign.open", category_budgets_minor={"hotel": 1.0}),
            'data.category_budgets_minor["hotel"]: 1.0 is not an integer',
        ),
        (
            with_data("campaign.open", category_budgets_minor={"hotel": -1}),
            "data.category_budgets_minor.hotel: -1 is less than the minimum of 0",
        ),
        (
            with_data("campaign.open", category_budgets_minor={"h" * 129: 1}),
            "data.category_budgets_minor: a key is refused",
        ),
        (
            with_data("campaign.open", release=[{"at": "2026-02-06T00:00:00Z", "quota": 2.0}]),
            "data.release[0].quota: 2.0 is not an integer",
        ),
        (
            with_data("campaign.open", voucher={"kind": "free_order", "face_value_minor": 1.0}),
            "data.voucher.face_value_minor: 1.0 is not an integer",
        ),
        (
            with_data("campaign.open", voucher={"kind": "amount_off", "face_value_minor": 1, "percent_bp": 5}),
            "data.voucher.percent_bp: 5 belongs to kind percent_off only",
        ),
        (
            with_data("campaign.open", voucher={"kind": "percent_off", "face_value_minor": 1}),
            "data.voucher.percent_bp is missing",
        ),
    ],
)
def test_data_is_checked(command: dict[str, Any], expected: str) -> None:
    assert expected in refusal(command)


def test_category_budgets_need_no_list_of_categories() -> None:
    command = with_data("campaign.open", category_budgets_minor={"train": 2})
    del command["data"]["categories"]
    assert decode(command).data == command["data"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, 'no key; it must be data.user_id "u-1"'),
        (b"u-2", 'key "u-2" is not data.user_id "u-1"'),
        (b"", 'key "" is not data.user_id "u-1"'),
        (b"\xff\xfe", 'key is not UTF-8 (hex fffe, 2 bytes); it must be data.user_id "u-1"'),
        (b"k" * 5_000, "(5,000 characters) is not data.user_id"),
    ],
)
def test_key_is_the_owner_of_the_command(key: bytes | None, expected: str) -> None:
    assert expected in reason(CLAIMS, orjson.dumps(example("voucher.claim")), key)


def test_key_of_a_campaign_command_is_the_campaign() -> None:
    value = orjson.dumps(example("campaign.pause"))
    assert reason(CAMPAIGNS, value, b"u-1") == 'key "u-1" is not data.campaign_id "spring-2026"'


def test_key_is_compared_as_utf_8() -> None:
    command = with_data("voucher.claim", user_id="用户-é-🧋")
    assert decode(command).data["user_id"] == "用户-é-🧋"


def test_the_last_of_duplicate_keys_wins() -> None:
    value = orjson.dumps(example("voucher.claim")).replace(b'"city_tier":3', b'"city_tier":9,"city_tier":2')
    assert CLAIMS.decode(value, b"u-1").data["city_tier"] == 2
